# What every script begins with. The answer is one line of ASCII, whatever code page the session has.
$ErrorActionPreference = 'Stop'
$ProgressPreference = 'SilentlyContinue'
function Get-Epoch($Time) {
  [int64]($Time.ToUniversalTime() - [DateTime]'1970-01-01').TotalSeconds
}
function Get-Fact($Read) {
  try { & $Read } catch { @{ unseen = $_.Exception.Message } }
}
function Write-Answer($Facts) {
  $Facts.clock = Get-Epoch ([DateTime]::UtcNow)
  $Json = ConvertTo-Json -InputObject $Facts -Depth 5 -Compress
  $Plain = [Regex]::Replace($Json, '[^ -~]', { '\u' + ([int][char]$args[0].Value).ToString('x4') })
  [Console]::Out.WriteLine('AUDITOR-PROBE-BEGIN ' + $Plain + ' AUDITOR-PROBE-END')
}
