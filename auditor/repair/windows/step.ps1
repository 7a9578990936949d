# Has a task of SYSTEM do the work once, which no drop of the connection ends, and says what became of it.
# A second call with the same id does nothing but tell; run.cmd decides by a folder who does the work. Of two that
# would begin it at a time one does, and shares its lock with nobody until it ends itself: the other one would
# meet files that are being written, or write anew what a cmd reads. It waits for the work like any later one.
# SYSTEM goes by its SID: some languages have another word for it.
$Name = 'FleetAuditor ' + $Asked.id
function Test-Begun { Test-Path -LiteralPath $Begun }
function Get-End {
  Get-ChildItem -LiteralPath $Place -Filter 'ended-*'
}
function Get-Said {
  $Path = "$Place\output"
  if (-not (Test-Path -LiteralPath $Path)) { return }
  $Stream = [IO.File]::Open($Path, 'Open', 'Read', 'ReadWrite, Delete')
  $Stream.Position = [Math]::Max(0, $Stream.Length - 16000)
  $Page = (Get-ItemProperty 'HKLM:\SYSTEM\CurrentControlSet\Control\Nls\CodePage').OEMCP
  (New-Object IO.StreamReader($Stream, [Text.Encoding]::GetEncoding([int]$Page))).ReadToEnd()
}
try {
  $Clock = New-Object -ComObject 'Schedule.Service'
  $Clock.Connect()
  $Tasks = $Clock.GetFolder('\')
  if (-not (Test-Begun)) {
    New-Place
    try { $Lock = [IO.File]::Create("$Place\lock") } catch { }
    if ($Lock) {
      foreach ($File in $Asked.files) { [IO.File]::WriteAllText("$Place\$($File.name)", $File.text) }
      $Task = $Clock.NewTask(0)
      $Task.Settings.ExecutionTimeLimit = 'PT0S'
      $Task.Settings.DisallowStartIfOnBatteries = $false
      $Run = $Task.Actions.Create(0)
      $Run.Path = $env:ComSpec
      $Run.Arguments = "/d /c $Place\run.cmd"
      [void]$Tasks.RegisterTaskDefinition($Name, $Task, 6, 'S-1-5-18', $null, 5, $null).Run($null)
    }
  }
} catch {
  if (-not (Test-Begun)) { Write-Step 'refused' 10 $_.Exception.Message }
}
$Until = [DateTime]::UtcNow.AddSeconds($Asked.patience)
$Idle = 0
while (-not ($End = Get-End)) {
  $Idle++
  try { if (2, 4 -contains $Tasks.GetTask($Name).State) { $Idle = 0 } } catch { }
  if ([DateTime]::UtcNow -gt $Until) { Write-Step 'running' 0 (Get-Said) }
  if ($Idle -gt 25 -and (Test-Begun) -and -not (Get-End)) {
    Write-Step 'interrupted' 0 (Get-Said)
  }
  Start-Sleep -Milliseconds 200
}
try { $Tasks.DeleteTask($Name, 0) } catch { }
Write-Step 'done' ($End.Name.Substring(6)) (Get-Said)
