# Past every proxy; 168.63.129.16 answers administrators only where Azure restricts it to them.
$Watch = [Diagnostics.Stopwatch]::StartNew()
function New-Attempt($Target, $Stage, $Detail, $Since) {
  @{ target = $Target; stage = $Stage; detail = '' + $Detail; ms = $Watch.ElapsedMilliseconds - $Since }
}
function Get-Direct($Uri, $Target, $Limit) {
  $Since = $Watch.ElapsedMilliseconds
  $Request = [Net.WebRequest]::Create($Uri)
  $Request.Proxy = New-Object Net.WebProxy
  $Request.Timeout = $Limit
  $Request.ReadWriteTimeout = $Limit
  $Request.Headers.Add('Metadata', 'true')
  try {
    $Response = $Request.GetResponse()
    $Reader = New-Object IO.StreamReader($Response.GetResponseStream())
    $Body = $Reader.ReadToEnd()
    $Response.Close()
    @{ attempt = New-Attempt $Target 'ok' ('HTTP ' + [int]$Response.StatusCode) $Since; body = $Body }
  } catch {
    $Cause = $_.Exception
    while ($Cause.InnerException -and -not $Cause.Status) { $Cause = $Cause.InnerException }
    $Stage = 'http'
    if ('ConnectFailure', 'Timeout' -contains $Cause.Status) { $Stage = 'tcp' }
    @{ attempt = New-Attempt $Target $Stage ('' + $Cause.Status + ' ' + $Cause.Message) $Since; body = $null }
  }
}
$Client = New-Object Net.Sockets.TcpClient
$Connect = Get-Fact { $Client.BeginConnect('168.63.129.16', 32526, $null, $null) }
$Wire = 'http://168.63.129.16/?comp=versions'
$Versions = Get-Fact { (Get-Direct $Wire $Wire 5000).attempt }
$Imds = 'http://169.254.169.254/metadata/instance'
$Answer = Get-Direct ($Imds + '/compute?api-version=2021-02-01&format=json') $Imds 3000
$Plugin = Get-Fact {
  if (-not $Connect.AsyncWaitHandle.WaitOne(4000)) { return New-Attempt '168.63.129.16:32526' 'tcp' 'Timeout' 0 }
  try { $Client.EndConnect($Connect); New-Attempt '168.63.129.16:32526' 'ok' 'connected' 0 }
  catch { New-Attempt '168.63.129.16:32526' 'tcp' ($_.Exception.GetBaseException().SocketErrorCode) 0 }
}
Write-Answer @{
  wire_server = @($Versions, $Plugin)
  imds = $Answer.attempt
  vm_id = Get-Fact { if ($Answer.body) { '' + (ConvertFrom-Json $Answer.body).vmId } }
}
