rem One command a line, joined to one line by " & ": no block, no "if", no "for". reg says "not there" in
rem its own language; the first questions have no other answer, so that it is known in any of them. cmd looks
rem for programs in the current folder before all others.
cd /d %SystemRoot%\System32
echo #@ script registry 1
echo #@ none
reg query HKLM\SOFTWARE\Auditor-None /reg:64 2>&1
reg query HKLM\SOFTWARE\Microsoft /v Auditor-None /reg:64 2>&1
dir /ad /b "%SystemDrive%\Auditor-None" 2>&1
dir /ad /b "%SystemDrive%\Auditor-None\None" 2>&1
echo #@ version
ver
echo #@ product
reg query "HKLM\SOFTWARE\Microsoft\Windows NT\CurrentVersion" /v ProductName /reg:64 2>&1
echo #@ machine
reg query "HKLM\SYSTEM\CurrentControlSet\Control\Session Manager\Environment" /v PROCESSOR_ARCHITECTURE /reg:64 2>&1
echo #@ host
reg query HKLM\SYSTEM\CurrentControlSet\Services\Tcpip\Parameters /v Hostname /reg:64 2>&1
echo #@ board
reg query HKLM\HARDWARE\DESCRIPTION\System\BIOS /v SystemManufacturer /reg:64 2>&1
echo #@ agent
reg query "HKLM\SOFTWARE\Microsoft\Virtual Machine\Guest" /reg:64 2>&1
echo #@ vm
reg query "HKLM\SOFTWARE\Microsoft\Windows Azure" /v VmId /reg:64 2>&1
echo #@ msi
reg query HKLM\SOFTWARE\Microsoft\Windows\CurrentVersion\Uninstall /s /v DisplayName /reg:64 2>&1 | find "Windows Azure VM Agent"
echo #@ files
dir /s /b "%SystemDrive%\WindowsAzure\WaAppAgent.exe" "%SystemDrive%\WindowsAzure\WindowsAzureGuestAgent.exe" 2>nul
echo #@ snapshot
dir /ad /b "%SystemDrive%\Packages\Plugins\Microsoft.Azure.RecoveryServices.VMSnapshot" 2>&1
echo #@ state RdAgent
sc query RdAgent 2>&1
echo #@ setup RdAgent
reg query HKLM\SYSTEM\CurrentControlSet\Services\RdAgent /reg:64 2>&1
echo #@ state WindowsAzureGuestAgent
sc query WindowsAzureGuestAgent 2>&1
echo #@ setup WindowsAzureGuestAgent
reg query HKLM\SYSTEM\CurrentControlSet\Services\WindowsAzureGuestAgent /reg:64 2>&1
echo #@ state VSS
sc query VSS 2>&1
echo #@ setup VSS
reg query HKLM\SYSTEM\CurrentControlSet\Services\VSS /reg:64 2>&1
echo #@ state swprv
sc query swprv 2>&1
echo #@ setup swprv
reg query HKLM\SYSTEM\CurrentControlSet\Services\swprv /reg:64 2>&1
echo #@ state COMSysApp
sc query COMSysApp 2>&1
echo #@ setup COMSysApp
reg query HKLM\SYSTEM\CurrentControlSet\Services\COMSysApp /reg:64 2>&1
echo #@ state EventSystem
sc query EventSystem 2>&1
echo #@ setup EventSystem
reg query HKLM\SYSTEM\CurrentControlSet\Services\EventSystem /reg:64 2>&1
echo #@ state MSDTC
sc query MSDTC 2>&1
echo #@ setup MSDTC
reg query HKLM\SYSTEM\CurrentControlSet\Services\MSDTC /reg:64 2>&1
echo #@ state msiserver
sc query msiserver 2>&1
echo #@ setup msiserver
reg query HKLM\SYSTEM\CurrentControlSet\Services\msiserver /reg:64 2>&1
echo #@ state Winmgmt
sc query Winmgmt 2>&1
echo #@ setup Winmgmt
reg query HKLM\SYSTEM\CurrentControlSet\Services\Winmgmt /reg:64 2>&1
echo #@ state KeyIso
sc query KeyIso 2>&1
echo #@ setup KeyIso
reg query HKLM\SYSTEM\CurrentControlSet\Services\KeyIso /reg:64 2>&1
echo #@ dotnet
reg query "HKLM\SOFTWARE\Microsoft\NET Framework Setup\NDP\v4\Full" /v Release /reg:64 2>&1
echo #@ crypto
reg query HKLM\SOFTWARE\Microsoft\.NETFramework\v4.0.30319 /v SchUseStrongCrypto /reg:64 2>&1
echo #@ reboot component servicing
reg query "HKLM\SOFTWARE\Microsoft\Windows\CurrentVersion\Component Based Servicing\RebootPending" /reg:64 2>&1
echo #@ reboot Windows Update
reg query "HKLM\SOFTWARE\Microsoft\Windows\CurrentVersion\WindowsUpdate\Auto Update\RebootRequired" /reg:64 2>&1
echo #@ reboot file renames
reg query "HKLM\SYSTEM\CurrentControlSet\Control\Session Manager" /v PendingFileRenameOperations /reg:64 2>&1
echo #@ name now
reg query HKLM\SYSTEM\CurrentControlSet\Control\ComputerName\ActiveComputerName /v ComputerName /reg:64 2>&1
echo #@ name next
reg query HKLM\SYSTEM\CurrentControlSet\Control\ComputerName\ComputerName /v ComputerName /reg:64 2>&1
echo #@ winhttp
reg query "HKLM\SOFTWARE\Microsoft\Windows\CurrentVersion\Internet Settings\Connections" /v WinHttpSettings /reg:64 2>&1
echo #@ internet machine
reg query "HKLM\SOFTWARE\Microsoft\Windows\CurrentVersion\Internet Settings" /reg:64 2>&1
echo #@ internet LocalSystem
reg query "HKU\S-1-5-18\Software\Microsoft\Windows\CurrentVersion\Internet Settings" /reg:64 2>&1
echo #@ environment
reg query "HKLM\SYSTEM\CurrentControlSet\Control\Session Manager\Environment" /v http_proxy /reg:64 2>&1
reg query "HKLM\SYSTEM\CurrentControlSet\Control\Session Manager\Environment" /v https_proxy /reg:64 2>&1
reg query "HKLM\SYSTEM\CurrentControlSet\Control\Session Manager\Environment" /v all_proxy /reg:64 2>&1
reg query "HKLM\SYSTEM\CurrentControlSet\Control\Session Manager\Environment" /v no_proxy /reg:64 2>&1
echo #@ firewall
reg query HKLM\SYSTEM\CurrentControlSet\Services\SharedAccess\Parameters\FirewallPolicy\FirewallRules /reg:64 2>&1 | find "Action=Block" | find "Dir=Out"
reg query HKLM\SOFTWARE\Policies\Microsoft\WindowsFirewall\FirewallRules /reg:64 2>&1 | find "Action=Block" | find "Dir=Out"
echo #@ profiles
reg query HKLM\SYSTEM\CurrentControlSet\Services\SharedAccess\Parameters\FirewallPolicy\DomainProfile /v EnableFirewall /reg:64 2>&1
reg query HKLM\SYSTEM\CurrentControlSet\Services\SharedAccess\Parameters\FirewallPolicy\StandardProfile /v EnableFirewall /reg:64 2>&1
reg query HKLM\SYSTEM\CurrentControlSet\Services\SharedAccess\Parameters\FirewallPolicy\PublicProfile /v EnableFirewall /reg:64 2>&1
echo #@ end
ver>nul
