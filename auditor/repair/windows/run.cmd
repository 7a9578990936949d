@echo off
rem The one that makes the folder does the work. On a full disk no file can be written, but one be renamed.
set "PATH=%SystemRoot%\System32;%SystemRoot%;%SystemRoot%\System32\Wbem;%SystemRoot%\System32\WindowsPowerShell\v1.0"
cd /d "%~dp0"
mkdir started 2>nul
if errorlevel 1 exit /b 0
>ending echo The work goes on.
set "RECEIPT=%~dp0"
set "PAYLOAD=%~dp0payload"
cmd /d /c .\work.cmd %arguments% >output 2>&1 <nul
ren ending ended-%errorlevel%
del /q payload payload.part 2>nul
