# The last 64 KiB of the newest log, read while the extension may hold it open. vssadmin may take its time.
Write-Answer @{
  log = Get-Fact {
    $Folder = $env:SystemDrive + '\WindowsAzure\Logs\Plugins\Microsoft.Azure.RecoveryServices.VMSnapshot'
    if (-not (Test-Path -LiteralPath $Folder)) { return }
    $File = Get-ChildItem -LiteralPath $Folder -Recurse -Filter '*.log' |
      Sort-Object -Property LastWriteTimeUtc -Descending | Select-Object -First 1
    if (-not $File) { return }
    $Stream = [IO.File]::Open($File.FullName, 'Open', 'Read', 'ReadWrite, Delete')
    $Stream.Position = [Math]::Max(0, $Stream.Length - 65536)
    $Reader = New-Object IO.StreamReader($Stream)
    $Text = $Reader.ReadToEnd()
    $Reader.Close()
    $Lines = $Text.Split([char]10) | Where-Object { $_ -match 'error|fail|exception|0x8' } |
      Select-Object -Last 8 | ForEach-Object { $_.PadRight(400).Substring(0, 400).Trim() }
    @{ path = $File.FullName; changed = Get-Epoch $File.LastWriteTimeUtc; lines = @($Lines) }
  }
  writers = Get-Fact {
    $Start = New-Object Diagnostics.ProcessStartInfo
    $Start.FileName = $env:SystemRoot + '\System32\vssadmin.exe'
    $Start.Arguments = 'list writers'
    $Start.UseShellExecute = $false
    $Start.RedirectStandardOutput = $true
    $Vssadmin = [Diagnostics.Process]::Start($Start)
    $Said = $Vssadmin.StandardOutput.ReadToEndAsync()
    if (-not $Vssadmin.WaitForExit(20000)) { $Vssadmin.Kill(); throw 'vssadmin gave no answer within 20 s' }
    @{ code = $Vssadmin.ExitCode; text = $Said.Result }
  }
}
