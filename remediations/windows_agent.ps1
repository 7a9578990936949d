# Looks whether the agent may be installed, brings its installer into this folder, and says what it is: the only
# good answer is a line with the hash that was demanded. Nothing outside this folder is changed.
$ErrorActionPreference = 'Stop'
$ProgressPreference = 'SilentlyContinue'
$File = [Environment]::CurrentDirectory + '\agent.msi'
function Write-Verdict($Said) {
  $Plain = [Regex]::Replace('' + $Said, '[^ -~]+', ' ')
  [Console]::Out.WriteLine('AUDITOR-' + $Plain)
  exit
}
function Test-Wmi {
  $Key = @{ sSubKeyName = 'SYSTEM\CurrentControlSet\Services\Winmgmt'; sValueName = 'Start' }
  $Said = Invoke-CimMethod -ClassName StdRegProv -MethodName GetDWORDValue -Arguments $Key -OperationTimeoutSec 30
  if ($Said.ReturnValue -ne 0) { throw ('StdRegProv said ' + $Said.ReturnValue) }
}
# The numbers of the states stand in brackets in every language: 2 to 4 are a freeze under way.
function Test-Freeze {
  $Start = New-Object Diagnostics.ProcessStartInfo
  $Start.FileName = $env:SystemRoot + '\System32\vssadmin.exe'
  $Start.Arguments = 'list writers'
  $Start.UseShellExecute = $false
  $Start.RedirectStandardOutput = $true
  $Vssadmin = [Diagnostics.Process]::Start($Start)
  $Said = $Vssadmin.StandardOutput.ReadToEndAsync()
  if (-not $Vssadmin.WaitForExit(60000)) {
    $Vssadmin.Kill()
    throw 'vssadmin gave no answer within 60 s'
  }
  if ($Said.Result -match ': \[[234]\] ') { throw 'a snapshot is being taken' }
}
# .NET knows the proxy of the account; most machines have theirs in WinHTTP: flags, a length, and the text.
function Get-Proxy {
  $Key = 'HKLM:\SOFTWARE\Microsoft\Windows\CurrentVersion\Internet Settings\Connections'
  $Raw = (Get-ItemProperty -LiteralPath $Key -ErrorAction 'SilentlyContinue').WinHttpSettings
  if (-not $Raw -or -not ($Raw[8] -band 2)) { return [Net.WebRequest]::DefaultWebProxy }
  $Text = [Text.Encoding]::ASCII.GetString($Raw, 16, [BitConverter]::ToInt32($Raw, 12))
  $Found = [Regex]::Match($Text, '(?:^|;)(?:https=)?([^;=]+)(?:;|$)').Groups[1].Value
  if ($Found) { New-Object Net.WebProxy($Found) } else { [Net.WebRequest]::DefaultWebProxy }
}
function Get-Installer {
  if (-not $env:SOURCE) { return [IO.File]::Copy($env:PAYLOAD, $File, $true) }
  if ($env:SOURCE.StartsWith('\\')) { return [IO.File]::Copy($env:SOURCE, $File, $true) }
  [Net.ServicePointManager]::SecurityProtocol = [Net.SecurityProtocolType]3072
  $Client = New-Object Net.WebClient
  $Client.Proxy = Get-Proxy
  if ($Client.Proxy) { $Client.Proxy.Credentials = [Net.CredentialCache]::DefaultNetworkCredentials }
  $Client.DownloadFile($env:SOURCE, $File)
}
function Get-Sha256 {
  $Stream = [IO.File]::OpenRead($File)
  try { $Hash = (New-Object Security.Cryptography.SHA256CryptoServiceProvider).ComputeHash($Stream) }
  finally { $Stream.Close() }
  [BitConverter]::ToString($Hash).Replace('-', '').ToLower()
}
function Test-Signature {
  $Signed = Get-AuthenticodeSignature -LiteralPath $File
  if ($Signed.Status -ne 'Valid') { throw ('its signature is ' + $Signed.Status) }
  $Signer = $Signed.SignerCertificate.GetNameInfo('SimpleName', $false)
  if ($Signer -cne $env:PUBLISHER) { throw ('it is signed by ' + $Signer) }
}
# Windows Installer's objects tell PowerShell nothing of themselves: every member is named.
function Get-ComMember($Object, $Name, $Kind, $Given) {
  $Object.GetType().InvokeMember($Name, $Kind, $null, $Object, @($Given))
}
function Get-Property($Database, $Name) {
  $Query = "SELECT Value FROM Property WHERE Property = '" + $Name + "'"
  $View = Get-ComMember $Database 'OpenView' 'InvokeMethod' $Query
  [void]$View.GetType().InvokeMember('Execute', 'InvokeMethod', $null, $View, $null)
  $Record = $View.GetType().InvokeMember('Fetch', 'InvokeMethod', $null, $View, $null)
  $Value = Get-ComMember $Record 'StringData' 'GetProperty' 1
  [void]$View.GetType().InvokeMember('Close', 'InvokeMethod', $null, $View, $null)
  $Value
}
# An installed version has more parts than an installer's may have: only what both have is compared.
function Test-Version($Wanted) {
  $Service = 'HKLM:\SYSTEM\CurrentControlSet\Services\RdAgent'
  $Image = '' + (Get-ItemProperty -LiteralPath $Service -ErrorAction 'SilentlyContinue').ImagePath
  $Line = [Environment]::ExpandEnvironmentVariables($Image)
  $Path = [Regex]::Match($Line, '^\W*?([A-Z]:.*?\.exe)', 'IgnoreCase').Groups[1].Value
  if (-not $Path -or -not (Test-Path -LiteralPath $Path)) { return }
  $Shown = [Diagnostics.FileVersionInfo]::GetVersionInfo($Path).ProductVersion
  $Installed = [Regex]::Match('' + $Shown, '^\d+(\.\d+){1,3}').Value
  if (-not $Installed) { return }
  $Parts = $Wanted.Split('.').Length
  $Same = ($Installed.Split('.') | Select-Object -First $Parts) -join '.'
  if ([Version]$Same -gt [Version]$Wanted) { throw ('the agent here is newer: ' + $Installed + ', not ' + $Wanted) }
}
function Test-Installer {
  $Installer = New-Object -ComObject 'WindowsInstaller.Installer'
  $Database = Get-ComMember $Installer 'OpenDatabase' 'InvokeMethod' @($File, 0)
  $Summary = Get-ComMember $Database 'SummaryInformation' 'GetProperty' 0
  $Template = '' + (Get-ComMember $Summary 'Property' 'GetProperty' 7)
  if (($Template -match '^Arm64') -ne ($env:PROCESSOR_ARCHITECTURE -eq 'ARM64')) {
    throw ('it is for another processor: ' + $Template)
  }
  Test-Version ([string](Get-Property $Database 'ProductVersion'))
  $Code = [string](Get-Property $Database 'ProductCode')
  if ((Get-ComMember $Installer 'ProductState' 'GetProperty' $Code) -eq 5) { 'repair' } else { 'install' }
}
try { Test-Wmi } catch { Write-Verdict ('REFUSED WMI does not reach the registry: ' + $_.Exception.Message) }
try { Test-Freeze } catch { Write-Verdict ('REFUSED volume shadow copies: ' + $_.Exception.Message) }
$Free = [Math]::Floor((New-Object IO.DriveInfo($env:SystemDrive)).AvailableFreeSpace / 1048576)
if ($Free -lt [int]$env:NEEDED) { Write-Verdict ('REFUSED only ' + $Free + ' MB are free, ' + $env:NEEDED + ' are needed') }
try { Get-Installer } catch { Write-Verdict ('FAILED the installer was not fetched: ' + $_.Exception.GetBaseException().Message) }
try {
  $Hash = Get-Sha256
  if ($Hash -ne $env:SHA256) { throw ('its SHA-256 is ' + $Hash) }
  Test-Signature
  $How = Test-Installer
} catch { Write-Verdict ('REFUSED the installer: ' + $_.Exception.GetBaseException().Message) }
Write-Verdict ('READY ' + $Hash + ' ' + $How)
