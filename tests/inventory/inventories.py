"""Ansible inventories to read, ours and Ansible's own reading of them being compared."""

INI = r"""
# a comment
; another
lonely.example  ansible_user=solo # and one more
10.0.0.7:2200
[2001:db8::1]:2222
2001:db8::2

[web]
web[01:03].example http_port=80
web-alias ansible_host=10.1.0.5 ansible_port=2201 ansible_user="two words"

[db]   # the databases
db-[a:c].example
web01.example

[db:vars]
ansible_user = dbadmin
ansible_ssh_private_key_file=~/.ssh/db key
quoted="a # b"

[prod:children]
web
db # in production

[prod:vars]
ansible_user=prod
ansible_port=22

[early:children]
late

[late]
node[0:4:2] ansible_connection=paramiko
rack[1:2]-slot[a:b]

[win]
win1 ansible_host=192.0.2.9

[win:vars]
ansible_connection=winrm
ansible_winrm_transport=ntlm
ansible_port=5985
ansible_user='CORP\svc'

[all:vars]
ansible_user=everyone
http_port=8080

[zeta]
both ansible_ssh_user=last
tie

[alpha]
both
tie

[mid]
tie

[zeta:vars]
ansible_user=zeta
[alpha:vars]
ansible_user=alpha
ansible_group_priority=10
[mid:vars]
ansible_user=mid
"""

DEEP_INI = """
[a]
h1
h2 ansible_user=own
[b:children]
a
[c:children]
b
d
[d]
h1
h3
[a:vars]
who=a
ansible_user=a
[b:vars]
ansible_user=b
ansible_port=2
[c:vars]
ansible_user=c
ansible_port=3
ansible_host=c.example
[d:vars]
ansible_user=d
ansible_group_priority=50
[ungrouped:vars]
ansible_user=nobody
[x:children]
a
[x:vars]
ansible_port=9
"""

YAML = """
all:
  hosts:
    mail.example:
    "[2001:db8::5]:2022":
  vars: {ansible_user: everyone, ansible_become_method: sudo}
  children:
    web:
      hosts:
        web[1:3].example: {ansible_port: 2222}
        web2.example:
          ansible_host: 10.0.0.2
          tags: [a, b]
      vars: {ansible_user: web}
    windows:
      hosts: {win-a: {ansible_winrm_port: 5986}, win-b: null}
      vars:
        ansible_connection: psrp
        ansible_psrp_auth: kerberos
        ansible_user: admin@CORP.EXAMPLE
        ansible_psrp_cert_trust_path: /etc/ca.pem
    empty:
    prod:
      children:
        web: {}
        windows:
          vars: {ansible_port: 5986}
      vars: {ansible_user: prod, ansible_ssh_common_args: "-o ServerAliveInterval=5 -J ops@bastion:2222"}
    text_hosts: {hosts: one.example}
"""

FLAT_YAML = """
---
web:
  hosts:
    one: {ansible_user: null}
    two: {ansible_private_key_file: /etc/key}
  vars: {ansible_user: w}
ungrouped:
  hosts: {three: {ansible_host: 10.0.0.3}}
"""

PLAIN = """one
two.example ansible_user=x
"""

ALL = {
    "hosts.ini": INI,
    "deep": DEEP_INI,
    "site.yaml": YAML,
    "flat.yml": FLAT_YAML,
    "plain": PLAIN,
}
