# What both scripts begin with. Everyone may make folders below ProgramData: one that was there before is
# taken only where neither link nor owner is a stranger's, and then closed to all but SYSTEM and Administrators.
# What a guest says stands behind bars, so that it can be no answer of ours, and in UTF-8.
$ErrorActionPreference = 'Stop'
$ProgressPreference = 'SilentlyContinue'
$Asked = ConvertFrom-Json -InputObject (@($input) -join '')
$Root = $env:ProgramData + '\FleetAuditor'
$Place = $Root + '\' + $Asked.id
$Begun = $Place + '\started'
function Write-Step($State, $Code, $Said) {
  $Lines = @('' + $Said -split '[\r\n]+' | ForEach-Object { '|' + $_ })
  $Frame = @('', ('AUDITOR-STEP-BEGIN ' + $State + ' ' + $Code)) + $Lines + @('AUDITOR-STEP-END', '')
  $Bytes = [Text.Encoding]::UTF8.GetBytes($Frame -join [char]10)
  [Console]::OpenStandardOutput().Write($Bytes, 0, $Bytes.Length)
  exit
}
function New-Place {
  $Safe = New-Object Security.AccessControl.DirectorySecurity
  $Safe.SetSecurityDescriptorSddlForm('O:BAG:BAD:P(A;OICI;FA;;;SY)(A;OICI;FA;;;BA)')
  $Made = [IO.Directory]::CreateDirectory($Root, $Safe)
  if ([int]$Made.Attributes -band 1024) { throw ($Root + ' is a link') }
  $Owner = $Made.GetAccessControl().GetOwner([Security.Principal.SecurityIdentifier]).Value
  if ('S-1-5-18', 'S-1-5-32-544' -notcontains $Owner) { throw ($Root + ' belongs to ' + $Owner) }
  $Made.SetAccessControl($Safe)
  [void][IO.Directory]::CreateDirectory($Place)
}
