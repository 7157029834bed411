import assert from 'node:assert/strict'
import { connectOnPrivateHost } from './private-host.ts'

/** The system's bus and polkit, and a libvirtd that asks it about everybody but root. */
const polkit = (rule: string) => `
  mount -t tmpfs tmpfs /etc/polkit-1/rules.d
  cat >/etc/polkit-1/rules.d/10-test.rules <<'RULE'
  polkit.addRule(function (action, subject) { ${rule} })
RULE
  chmod 755 /etc/polkit-1/rules.d
  mkdir -p /run/dbus
  # Each says on a descriptor, or by what it made, that it is ready.
  dbus-daemon --system --fork --nopidfile 2>/dev/null
  /usr/lib/polkit-1/polkitd --no-debug >/dev/null 2>&1 &
  until dbus-send --system --print-reply --dest=org.freedesktop.DBus / org.freedesktop.DBus.NameHasOwner \\
    string:org.freedesktop.PolicyKit1 | grep -q true; do sleep 0.05; done
  pid=$(cat /run/libvirtd.pid)
  kill "$pid"
  while [ -e "/proc/$pid" ]; do sleep 0.05; done
  printf 'auth_unix_rw = "polkit"\\nunix_sock_rw_perms = "0777"\\n' >/run/polkit.conf
  libvirtd --config /run/polkit.conf --daemon
  timeout 60 virsh --quiet --connect qemu:///system uri >/dev/null`

describe('connecting to libvirt', function () {
  this.timeout(60_000)

  it('works for whom polkit lets in', async () => {
    const prepare = polkit(`if (action.id == 'org.libvirt.unix.manage' && subject.user == 'nobody') return 'yes'`)
    assert.equal(await connectOnPrivateHost({ prepare, user: 'nobody' }), 'domains: 0')
  })

  it('is refused, in its words, to whom polkit does not let in', async () => {
    const prepare = polkit(`if (action.id == 'org.libvirt.unix.manage' && subject.user == 'nobody') return 'no'`)
    assert.match(
      await connectOnPrivateHost({ prepare, user: 'nobody' }),
      /^authentication-refused: polkit authentication: .*(denied|authenticat)/,
    )
  })

  it('finds the socket where the modular daemon for QEMU has it', async () => {
    const prepare = 'mv /run/libvirt/libvirt-sock /run/libvirt/virtqemud-sock'
    assert.equal(await connectOnPrivateHost({ prepare, user: 'root' }), 'domains: 0')
  })
})
