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

:stop
sc stop %1 >nul 2>&1
call :halted %1
if errorlevel 1 exit /b 1
exit /b 0

