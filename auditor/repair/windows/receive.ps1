# Takes one piece of a file. A piece that comes again overwrites itself; the whole has its name only once its
# hash is right, and says then that it is there.
$Whole = $Place + '\payload'
$Part = $Place + '\payload.part'
function Get-Sha256($Path) {
  $Stream = [IO.File]::OpenRead($Path)
  try { $Hash = (New-Object Security.Cryptography.SHA256CryptoServiceProvider).ComputeHash($Stream) }
  finally { $Stream.Close() }
  [BitConverter]::ToString($Hash).Replace('-', '').ToLower()
}
function Add-Piece {
  $Bytes = [Convert]::FromBase64String($Asked.data)
  $Stream = [IO.File]::Open($Part, 'OpenOrCreate', 'Write', 'None')
  try {
    if ($Stream.Length -lt $Asked.offset) { throw 'the piece before this one is missing' }
    $Stream.Position = $Asked.offset
    $Stream.Write($Bytes, 0, $Bytes.Length)
    $Stream.SetLength($Asked.offset + $Bytes.Length)
    $Stream.Length
  } finally { $Stream.Close() }
}
try {
  if (Test-Path -LiteralPath $Begun) { Write-Step 'done' 11 'the step was begun before' }
  New-Place
  if (Test-Path -LiteralPath $Whole) {
    if ((Get-Sha256 $Whole) -eq $Asked.sha256) { Write-Step 'done' 11 'the file is there' }
    [IO.File]::Delete($Whole)
  }
  $Free = (New-Object IO.DriveInfo($env:SystemDrive)).AvailableFreeSpace
  if ($Free -lt 2 * $Asked.size + 16777216) { Write-Step 'refused' 10 ('only ' + $Free + ' bytes are free') }
  if ((Add-Piece) -lt $Asked.size) { Write-Step 'done' 0 'a piece has arrived' }
  $Hash = Get-Sha256 $Part
  if ($Hash -ne $Asked.sha256) {
    [IO.File]::Delete($Part)
    throw ('its SHA-256 is ' + $Hash)
  }
  [IO.File]::Move($Part, $Whole)
  Write-Step 'done' 0 'the file has arrived whole'
} catch {
  Write-Step 'done' 1 ('the file was not taken: ' + $_.Exception.Message)
}
