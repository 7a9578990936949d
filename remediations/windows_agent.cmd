@echo off
rem script windows-agent 1
rem Source, SHA-256, publisher, free megabytes, "reboot" where one is allowed, and the way: "over" what is there,
rem "update" of it, or "clean" where the old agent goes first.
set "SOURCE=%~1"
set "SHA256=%~2"
set "PUBLISHER=%~3"
set "NEEDED=%~4"
set "REBOOT=%~5"
set "WAY=%~6"
set "SERVICES=HKLM\SYSTEM\CurrentControlSet\Services"
set "AZURE=%SystemDrive%\WindowsAzure"
set "WINDOWS=HKLM\SOFTWARE\Microsoft\Windows\CurrentVersion"

set "WHY=a restart of Windows is pending"
reg query "%WINDOWS%\Component Based Servicing\RebootPending" /reg:64 >nul 2>&1
if not errorlevel 1 goto refused
reg query "%WINDOWS%\WindowsUpdate\Auto Update\RebootRequired" /reg:64 >nul 2>&1
if not errorlevel 1 goto refused
set "WHY=files of the agent wait for a restart of Windows"
reg query "HKLM\SYSTEM\CurrentControlSet\Control\Session Manager" /v PendingFileRenameOperations /reg:64 2>nul | find "WindowsAzure" >nul
if not errorlevel 1 goto refused
set "WHY=the Windows Installer service is disabled"
reg query "%SERVICES%\msiserver" /v Start /reg:64 2>nul | find "0x4" >nul
if not errorlevel 1 goto refused
if not "%WAY%"=="clean" goto fetch
call :running RdAgent
if errorlevel 1 goto fetch
call :running WindowsAzureGuestAgent
if errorlevel 1 goto fetch
echo NOTHING: both services run.
exit /b 11

rem PowerShell's word counts, and not its exit code: a line with the hash, or nothing is installed.
:fetch
call powershell -NoLogo -NoProfile -NonInteractive -ExecutionPolicy Bypass -Command "& ([ScriptBlock]::Create([IO.File]::ReadAllText('windows_agent.ps1')))" >verdict
type verdict
find "AUDITOR-REFUSED" verdict >nul
if not errorlevel 1 goto told
find "AUDITOR-FAILED" verdict >nul
if not errorlevel 1 exit /b 1
set "WHY=the installer was not verified"
find "AUDITOR-READY %SHA256% " verdict >nul
if errorlevel 1 goto refused
set "HOW="
find "AUDITOR-READY %SHA256% repair" verdict >nul
if not errorlevel 1 set "HOW=REINSTALL=ALL REINSTALLMODE=vomus"
if defined HOW if "%WAY%"=="update" goto same
if not "%WAY%"=="clean" goto ready
call :clean
if errorlevel 1 goto hangs

:ready
set LEFT=20
:install
call :msiexec
set CODE=%errorlevel%
if not "%CODE%"=="1618" goto installed
set /a LEFT=LEFT-1
echo Another installation is under way.
if "%LEFT%"=="0" goto failed
call :pause 31
goto install

:installed
echo msiexec ended with %CODE%.
set STATUS=12
if "%CODE%"=="3010" goto services
if "%CODE%"=="1641" goto services
set STATUS=0
if not "%CODE%"=="0" goto failed

:services
del /q agent.msi
call :start RdAgent
if errorlevel 1 goto stuck
call :start WindowsAzureGuestAgent
if errorlevel 1 goto stuck
echo Both services run, and start by themselves.
if "%STATUS%"=="12" goto reboot
exit /b 0

:stuck
if "%STATUS%"=="12" goto reboot
sc query RdAgent
sc query WindowsAzureGuestAgent
echo FAILED: the agent is installed, and its services did not come up within two minutes.
exit /b 1

:reboot
echo Windows has to be restarted to finish the installation.
if "%REBOOT%"=="reboot" shutdown /r /t 30 /d p:4:2
exit /b 12

:same
del /q agent.msi
echo NOTHING: this version is installed.
exit /b 11

:refused
echo REFUSED: %WHY%.
:told
del /q agent.msi 2>nul
exit /b 10

:hangs
sc query %SERVICE%
del /q agent.msi
echo FAILED: %SERVICE% %TROUBLE%. Nothing was put aside.
exit /b 1

:failed
type install.log | findstr /v /b /c:"Property("
del /q agent.msi
echo FAILED: msiexec ended with %CODE%; the end of its log stands above, all of it in %RECEIPT%install.log.
if "%WAY%"=="clean" echo What was there before is kept in %RECEIPT%.
exit /b 1

:msiexec
msiexec /i agent.msi %HOW% /qn /norestart /L*v install.log
exit /b %errorlevel%

rem ---- the old agent goes: its files and the keys of its services are kept beside the receipt. A service that
rem does not stop would stay half deleted until Windows restarts, and no installer could bring it back. RdAgent
rem installs and updates the other one, and may have started it again before it stopped itself. What cannot be kept
rem is not deleted.
:clean
set "TROUBLE=did not stop within a minute; only a restart of Windows ends it"
set SERVICE=WindowsAzureGuestAgent
sc stop WindowsAzureGuestAgent >nul 2>&1
call :halted WindowsAzureGuestAgent
if errorlevel 1 exit /b 1
set SERVICE=RdAgent
sc stop RdAgent >nul 2>&1
call :halted RdAgent
if errorlevel 1 exit /b 1
set SERVICE=WindowsAzureGuestAgent
sc stop WindowsAzureGuestAgent >nul 2>&1
call :halted WindowsAzureGuestAgent
if errorlevel 1 exit /b 1
set "TROUBLE=stays as it is: its key could not be exported"
call :keep WindowsAzureGuestAgent
if errorlevel 1 exit /b 1
set SERVICE=RdAgent
call :keep RdAgent
if errorlevel 1 exit /b 1
sc delete RdAgent
sc delete WindowsAzureGuestAgent
move "%AZURE%\Packages" "%RECEIPT%Packages"
for /d %%f in (%AZURE%\GuestAgent*) do move "%%f" "%RECEIPT%"
exit /b 0

:keep
reg query "%SERVICES%\%1" >nul 2>&1
if errorlevel 1 exit /b 0
reg export "%SERVICES%\%1" %1.reg /y >nul 2>&1
exit /b %errorlevel%

