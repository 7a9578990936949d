@echo off
rem script windows-restart 1
rem "restart" stops the services first; "start" only brings up what does not run.
set "WAY=%~1"
set "SERVICES=HKLM\SYSTEM\CurrentControlSet\Services"

set "WHY=the service RdAgent does not exist"
reg query "%SERVICES%\RdAgent" /v Start /reg:64 >nul 2>&1
if errorlevel 1 goto refused
set "WHY=the service WindowsAzureGuestAgent does not exist"
reg query "%SERVICES%\WindowsAzureGuestAgent" /v Start /reg:64 >nul 2>&1
if errorlevel 1 goto refused
if "%WAY%"=="restart" goto restart
call :running RdAgent
if errorlevel 1 goto begin
call :running WindowsAzureGuestAgent
if errorlevel 1 goto begin
echo NOTHING: both services run, and start by themselves.
exit /b 11

:restart
set "WHY=a snapshot is being taken"
call :snapshot
if errorlevel 2 goto silent
if errorlevel 1 goto refused
set SERVICE=WindowsAzureGuestAgent
call :stop WindowsAzureGuestAgent
if errorlevel 1 goto hangs
set SERVICE=RdAgent
call :stop RdAgent
if errorlevel 1 goto hangs

:begin
set SERVICE=RdAgent
call :start RdAgent
if errorlevel 1 goto stuck
set SERVICE=WindowsAzureGuestAgent
call :start WindowsAzureGuestAgent
if errorlevel 1 goto stuck
echo Both services run, and start by themselves.
exit /b 0

:silent
set "WHY=vssadmin did not say within a minute whether a snapshot is being taken"
:refused
echo REFUSED: %WHY%.
exit /b 10

:hangs
sc query %SERVICE%
echo FAILED: %SERVICE% did not stop within a minute; only a restart of Windows ends it.
exit /b 1

:stuck
sc query %SERVICE%
echo FAILED: %SERVICE% did not come up within two minutes.
exit /b 1

rem The numbers of the writers' states stand in brackets in every language: 2 to 4 are a freeze under way.
:snapshot
start "" /b cmd /d /c "vssadmin list writers >listing 2>&1 & ren listing writers"
set LEFT=30
:listing
if exist writers goto listed
set /a LEFT=LEFT-1
if "%LEFT%"=="0" exit /b 2
call :pause 3
goto listing
:listed
for %%n in (2 3 4) do (
  find ": [%%n] " writers >nul
  if not errorlevel 1 exit /b 1
)
exit /b 0

:stop
sc stop %1 >nul 2>&1
call :halted %1
if errorlevel 1 exit /b 1
exit /b 0

