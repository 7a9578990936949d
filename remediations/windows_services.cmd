rem ---- services, by the numbers of their states: words differ with the language
:start
set LEFT=20
:starting
sc config %1 start= auto >nul 2>&1
call :running %1
if not errorlevel 1 exit /b 0
sc start %1 >nul 2>&1
set /a LEFT=LEFT-1
if "%LEFT%"=="0" exit /b 1
call :pause 7
goto starting

:running
reg query "%SERVICES%\%1" /v Start /reg:64 2>nul | find "0x2" >nul
if errorlevel 1 exit /b 1
call :state %1
if "%STATE:~0,3%"==" 4 " exit /b 0
exit /b 1

:halted
set LEFT=10
:halting
call :state %1
if not defined STATE exit /b 0
if "%STATE:~0,3%"==" 1 " exit /b 0
set /a LEFT=LEFT-1
if "%LEFT%"=="0" exit /b 1
call :pause 7
goto halting

rem The third line with a colon is that of the state.
:state
set "NAME="
set "TYPE="
set "STATE="
for /f "tokens=2 delims=:" %%s in ('sc query %1') do (
  if defined TYPE if not defined STATE set "STATE=%%s"
  if defined NAME set TYPE=yes
  set NAME=yes
)
exit /b 0

:pause
ping -n %1 127.0.0.1 >nul
exit /b 0
