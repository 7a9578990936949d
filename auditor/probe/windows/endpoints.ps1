# Straight from the guest, all at once; TLS with the certificate held against the machine's own roots.
$Asked = ConvertFrom-Json -InputObject ($input | Out-String)
$Watch = [Diagnostics.Stopwatch]::StartNew()
function Get-Left($Until) {
  [int][Math]::Max(1, $Until - $Watch.ElapsedMilliseconds)
}
function New-Attempt($Item, $Stage, $Detail) {
  @{ target = $Item.place.target; stage = $Stage; detail = '' + $Detail; ms = $Watch.ElapsedMilliseconds }
}
function Get-Cause($Problem) {
  $Cause = $Problem.Exception.GetBaseException()
  '' + $Cause.GetType().Name + ' ' + $Cause.SocketErrorCode + ' ' + $Cause.Message
}
function Connect-Item($Item) {
  if (-not $Item.lookup.AsyncWaitHandle.WaitOne((Get-Left 5000))) { return New-Attempt $Item 'dns' 'Timeout' }
  try { $Found = [Net.Dns]::EndGetHostAddresses($Item.lookup) }
  catch { return New-Attempt $Item 'dns' (Get-Cause $_) }
  $Item.connect = $Item.client.BeginConnect($Found, $Item.place.port, $null, $null)
}
function Get-Reach($Item) {
  if (-not $Item.connect.AsyncWaitHandle.WaitOne((Get-Left 10000))) { return New-Attempt $Item 'tcp' 'Timeout' }
  try { $Item.client.EndConnect($Item.connect) }
  catch { return New-Attempt $Item 'tcp' (Get-Cause $_) }
  if (-not $Item.place.tls) { return New-Attempt $Item 'ok' 'connected' }
  if ($Watch.ElapsedMilliseconds -gt 18000) { return @{ unseen = 'no time was left to try TLS' } }
  try {
    $Item.client.ReceiveTimeout = 4000
    $Secure = New-Object Net.Security.SslStream($Item.client.GetStream())
    $Secure.AuthenticateAsClient($Item.place.host, $null, [Security.Authentication.SslProtocols]::Tls12, $false)
    New-Attempt $Item 'ok' $Secure.SslProtocol
  } catch { New-Attempt $Item 'tls' (Get-Cause $_) }
}
$Items = @($Asked.endpoints | ForEach-Object {
  $Lookup = [Net.Dns]::BeginGetHostAddresses($_.host, $null, $null)
  @{ place = $_; lookup = $Lookup; client = New-Object Net.Sockets.TcpClient }
})
foreach ($Item in $Items) {
  $Item.answer = Get-Fact { Connect-Item $Item }
}
foreach ($Item in $Items) {
  if (-not $Item.answer) { $Item.answer = Get-Fact { Get-Reach $Item } }
}
Write-Answer @{ endpoints = @($Items | ForEach-Object { $_.answer }) }
