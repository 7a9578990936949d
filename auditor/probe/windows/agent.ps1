function Get-Program($Service) {
  $Raw = (Get-ItemProperty -LiteralPath ('HKLM:\SYSTEM\CurrentControlSet\Services\' + $Service)).ImagePath
  $Line = [Environment]::ExpandEnvironmentVariables($Raw).Trim()
  if ($Line.StartsWith('"')) { $Path = $Line.Split('"')[1] }
  else { $Path = [Regex]::Match($Line, '^.*?\.exe', 'IgnoreCase').Value }
  $Found = @{ path = $Path; present = Test-Path -LiteralPath $Path -PathType Leaf; version = $null }
  if ($Found.present) { $Found.version = [Diagnostics.FileVersionInfo]::GetVersionInfo($Path).ProductVersion }
  $Found
}
Write-Answer @{
  programs = @{
    RdAgent = Get-Fact { Get-Program 'RdAgent' }
    WindowsAzureGuestAgent = Get-Fact { Get-Program 'WindowsAzureGuestAgent' }
    VSS = Get-Fact { Get-Program 'VSS' }
    MSDTC = Get-Fact { Get-Program 'MSDTC' }
    msiserver = Get-Fact { Get-Program 'msiserver' }
  }
  certificate = Get-Fact {
    Get-ChildItem -LiteralPath 'Cert:\LocalMachine\My' |
      Where-Object { $_.FriendlyName -eq 'TenantEncryptionCert' } |
      Sort-Object -Property NotBefore -Descending | Select-Object -First 1 |
      ForEach-Object {
        @{ subject = $_.Subject; not_before = Get-Epoch $_.NotBefore; not_after = Get-Epoch $_.NotAfter }
      }
  }
}
