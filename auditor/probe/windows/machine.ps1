# WMI may hang: every question has its own limit, and all of them together stay below the script's.
$Identity = New-Object Security.Principal.WindowsPrincipal([Security.Principal.WindowsIdentity]::GetCurrent())
Write-Answer @{
  elevated = Get-Fact { $Identity.IsInRole([Security.Principal.WindowsBuiltInRole]::Administrator) }
  disk = Get-Fact {
    $Drive = New-Object IO.DriveInfo($env:SystemDrive)
    @{ path = $Drive.Name; free = $Drive.TotalFreeSpace; total = $Drive.TotalSize }
  }
  interfaces = @(Get-Fact {
    Get-CimInstance -ClassName Win32_NetworkAdapterConfiguration -Filter 'IPEnabled=TRUE' -OperationTimeoutSec 5 |
      ForEach-Object { @{ name = $_.Description; dhcp = $_.DHCPEnabled; addresses = @($_.IPAddress) } }
  })
  asset_tag = Get-Fact {
    Get-CimInstance -ClassName Win32_SystemEnclosure -OperationTimeoutSec 5 |
      Select-Object -First 1 | ForEach-Object { '' + $_.SMBIOSAssetTag }
  }
  board_id = Get-Fact {
    Get-CimInstance -ClassName Win32_ComputerSystemProduct -OperationTimeoutSec 5 |
      Select-Object -First 1 | ForEach-Object { '' + $_.UUID }
  }
  std_reg_prov = Get-Fact {
    $Key = @{ sSubKeyName = 'SYSTEM\CurrentControlSet\Services\Winmgmt'; sValueName = 'Start' }
    try {
      $Said = Invoke-CimMethod -ClassName StdRegProv -MethodName GetDWORDValue -Arguments $Key -OperationTimeoutSec 5
      $Said.ReturnValue -eq 0
    } catch {
      if (3, 5, 6, 16, 17 -contains [int]$_.Exception.NativeErrorCode) { $false } else { throw }
    }
  }
}
