import assert from 'node:assert/strict'
import { mkdtemp, rm } from 'node:fs/promises'
import { createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { execa } from 'execa'
import { cacheDirectory } from '../../../src/config/paths.ts'
import { buildLabImage, type LabImage } from '../../../src/image/lab-image.ts'
import { localShell } from '../../../src/shell/local.ts'
import { configurationPrompt, operationalPrompt, type QemuGuest, startQemu } from './qemu-guest.ts'
import { type RecordedStep, readRecording } from './recording.ts'

const anyPrompt = /(?:vyos login: |Password: |:~\$ |# )$/

/** Where the lab router shows something of its own, or a VyOS feature that it does not have. */
const ownOutput: readonly string[] = [
  'login: right password',
  'login again: password',
  'show version',
  'show configuration commands',
  'linux command in operational mode',
]
/** Steps around a typed `?`, which open a completion of each system's own variables; and the pager's decoration. */
const skipped: readonly string[] = [
  'pager on: unknown word',
  'script through vbash, batch of 4',
  'a typed ? asks for completion (the batch above held one): answer no, clear the line',
  'clear the line',
  'ssh host key on the console',
  'batch: write the script',
]

async function freePort(): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1')
  await new Promise((resolve) => server.once('listening', resolve))
  const address = server.address()
  await new Promise((resolve) => server.close(resolve))
  assert(typeof address === 'object' && address !== null)
  return address.port
}

describe('lab router under QEMU', function () {
  this.timeout(180_000)
  // One guest serves all: what follows a failure would only fail with it.
  this.bail(true)
  let image: LabImage
  let guest: QemuGuest
  let sshPort: number
  let recording: readonly RecordedStep[]

  before(async () => {
    image = await buildLabImage({ cacheDirectory: cacheDirectory(), shell: localShell })
    recording = await readRecording(join(import.meta.dirname, '../../fixtures/vyos-1.4.1-console.ndjson'))
    sshPort = await freePort()
    guest = startQemu(image, { sshPort })
    await guest.awaitOutput(/login: $/, 90_000)
  })
  after(async () => {
    await guest?.stop()
  })

  const operational = (command: string) => guest.type(`${command}\r`, operationalPrompt)
  const configuring = (command: string) => guest.type(`${command}\r`, configurationPrompt)

  it('shows byte for byte what a recorded VyOS 1.4.1 showed on its console', async () => {
    for (const step of recording) {
      if (skipped.includes(step.label)) continue
      if (step.label.startsWith('batch: run it')) {
        await guest.type(
          recording.find((other) => other.label === 'batch: write the script')?.typed ?? '',
          /END\r\n.*~\$ $/s,
        )
      }
      const shown = await guest.type(step.typed, anyPrompt)
      if (!ownOutput.includes(step.label)) assert.equal(shown, step.shown, `step "${step.label}"`)
    }
  })

  it('says at login and in show version that it is the lab router, and shows its SSH host key', async () => {
    await guest.type('vyos\r', /Password: $/)
    const banner = await guest.type('vyos\r', operationalPrompt)
    assert.match(banner, /VyOS-compatible lab router/)
    assert.match(banner, /SSH host key: 256 SHA256:[A-Za-z0-9+/]{43} root@vyos \(ED25519\)\r\n/)
    assert.match(banner, /Last login: /)
    await operational('set terminal length 0')
    await operational('set terminal width 500')
    assert.match(await operational('show version'), /\r\nVersion: {10}VyOS 1\.4\.1-lab-router \(not VyOS/)
  })

  it('applies VLANs, a bridge, a tunnel and routes to the kernel', async () => {
    await configuring('configure')
    for (const command of [
      'delete interfaces ethernet eth1 address',
      'delete interfaces ethernet eth0 vif 10',
      'delete interfaces ethernet eth0 address',
      'set interfaces ethernet eth0 address 10.0.2.15/24',
      'set interfaces ethernet eth0 address 2001:db8:1::1/64',
      'set interfaces ethernet eth0 vif 20 address 10.20.0.1/24',
      'set interfaces ethernet eth0 vif 30',
      'set interfaces ethernet eth0 offload gro',
      'set interfaces ethernet eth1 mtu 1400',
      'set interfaces ethernet eth1 description "to the lab"',
      'set interfaces bridge br0 member interface eth1',
      'set interfaces bridge br0 member interface eth0.30',
      'set interfaces bridge br0 address 10.30.0.1/24',
      'set interfaces tunnel tun0 encapsulation ipip6',
      'set interfaces tunnel tun0 source-address 2001:db8:1::1',
      'set interfaces tunnel tun0 remote 2001:db8:1::2',
      'set interfaces tunnel tun0 address 10.40.0.1/30',
      'set protocols static route 10.50.0.0/16 next-hop 10.40.0.2',
      'set protocols static route6 2001:db8:50::/48 next-hop 2001:db8:1::2',
      'set system ipv6 disable-forwarding',
    ]) {
      assert.equal(await configuring(command), `${command}\r\n[edit]\r\r\nvyos@vyos# `)
    }
    assert.equal(await configuring('commit'), 'commit\r\n[edit]\r\r\nvyos@vyos# ')
    await guest.type('exit discard\r', operationalPrompt)
    const links = JSON.parse((await operational('ip -json -detail link')).split('\r\n')[1] ?? '')
    const link = (name: string) => links.find((each: { ifname: string }) => each.ifname === name)
    assert.equal(link('br0').linkinfo.info_data.mcast_snooping, 0)
    assert.equal(link('br0').linkinfo.info_data.stp_state, 0)
    assert.equal(link('eth1').master, 'br0')
    assert.equal(link('eth1').mtu, 1400)
    assert.equal(link('eth1').ifalias, 'to the lab')
    assert.equal(link('eth0.30').master, 'br0')
    assert.equal(link('eth0.20').linkinfo.info_data.id, 20)
    assert.equal(link('tun0').mtu, 1476)
    const tunnel = link('tun0').linkinfo.info_data
    assert.deepEqual(
      [tunnel.proto, tunnel.local, tunnel.remote, tunnel.encap_limit],
      ['ipip6', '2001:db8:1::1', '2001:db8:1::2', 4],
    )
    const addresses = await operational('ip -brief address')
    assert.match(addresses, /eth0 .* 10\.0\.2\.15\/24 2001:db8:1::1\/64/)
    assert.match(addresses, /br0 .* 10\.30\.0\.1\/24/)
    assert.match(await operational('ip route'), /10\.50\.0\.0\/16 via 10\.40\.0\.2 dev tun0 proto static metric 20/)
    assert.match(
      await operational('ip -6 route'),
      /2001:db8:50::\/48 via 2001:db8:1::2 dev eth0 proto static metric 20/,
    )
    assert.match(
      await operational('cat /proc/sys/net/ipv4/ip_forward /proc/sys/net/ipv6/conf/all/forwarding'),
      /\r\n1\r\n0\r\n/,
    )
    assert.match(
      await operational('ethtool -k eth0 | grep ^generic'),
      /segmentation-offload: off\r\n.*receive-offload: on/,
    )
  })

  it('lets the operator use Linux tools as on VyOS: privileges only through sudo', async () => {
    assert.match(await operational('ip link set eth1 down'), /Operation not permitted/)
    assert.match(await operational('sudo -n id -u'), /\r\n0\r\n/)
    assert.match(await operational('/bin/ping -c 1 -W 2 127.0.0.1'), / 0% packet loss/)
    assert.match(
      await operational('iperf --version; iperf3 --version | head -1; tcpdump --version 2>&1 | head -1'),
      /iperf version 2.*iperf 3.*tcpdump version 4/s,
    )
    assert.match(
      await operational('ss -lnt; nstat -az | head -1; bridge link; tc qdisc'),
      /:22 .*#kernel.*master br0.*qdisc/s,
    )
  })

  it('answers SSH with the key that the console shows, and runs no VyOS command without a terminal', async () => {
    const fingerprint = /SHA256:\S+/.exec(await operational('ssh-keygen -lf /etc/ssh/ssh_host_ed25519_key.pub'))?.[0]
    const scan = await execa('sh', ['-c', `ssh-keyscan -T 30 -t ed25519 -p ${sshPort} 127.0.0.1 | ssh-keygen -lf -`])
    assert.equal(/SHA256:\S+/.exec(scan.stdout)?.[0], fingerprint)
    const identity = await mkdtemp(join(tmpdir(), 'vmr-ssh-'))
    try {
      await execa('ssh-keygen', ['-q', '-t', 'ed25519', '-N', '', '-C', 'tester', '-f', join(identity, 'key')])
      const [type, key] = (await execa('cat', [join(identity, 'key.pub')])).stdout.split(' ')
      await configuring('configure')
      await configuring(`set system login user vyos authentication public-keys tester type ${type}`)
      await configuring(`set system login user vyos authentication public-keys tester key ${key}`)
      assert.equal(await configuring('commit'), 'commit\r\n[edit]\r\r\nvyos@vyos# ')
      await guest.type('exit discard\r', operationalPrompt)
      const ssh = (command: string) =>
        execa(
          'ssh',
          [
            ...['-F', 'none', '-i', join(identity, 'key'), '-p', String(sshPort), '-o', 'BatchMode=yes'],
            ...['-o', 'StrictHostKeyChecking=no', '-o', 'UserKnownHostsFile=/dev/null', 'vyos@127.0.0.1', command],
          ],
          { reject: false, stripFinalNewline: false },
        )
      const show = await ssh('show version')
      assert.deepEqual([show.stdout, show.exitCode], ['\n  Invalid command: [show]\n\n', 127])
      const linux = await ssh('ip -brief link show eth0')
      assert.match(linux.stdout, /^eth0 +UP /)
      const wrapped = await ssh('/opt/vyatta/bin/vyatta-op-cmd-wrapper show interfaces')
      assert.match(wrapped.stdout, /^Codes: S - State/)
      const script = await ssh(
        "printf '%s\\n' 'source /opt/vyatta/etc/functions/script-template' configure 'set system host-name r1' commit exit | vbash -s; cat /proc/sys/kernel/hostname",
      )
      assert.equal(script.stdout, 'r1\n')
    } finally {
      await rm(identity, { recursive: true, force: true })
    }
  })

  it('fails the commit of an interface that is not there with a traceback, and applies the rest', async () => {
    await guest.type('configure\r', configurationPrompt)
    await configuring('set interfaces ethernet eth7 address 10.7.0.1/24')
    await configuring('set system host-name vyos')
    const commit = await configuring('commit')
    assert.match(commit, /^commit\r\n\[ interfaces ethernet eth7 \]\r\nVyOS had an issue completing a command\./)
    assert.match(commit, /Traceback .*\[\[interfaces ethernet eth7\]\] failed\r\nCommit failed\r\n\[edit\]/s)
    assert.match(
      await configuring('compare commands'),
      /^compare commands\r\nset interfaces ethernet eth7 address '10\.7\.0\.1\/24'\r\n\r\n\[edit\]/,
    )
    await configuring('discard')
    assert.match(await configuring('run show configuration commands | match host-name'), /host-name 'vyos'/)
    await guest.type('exit\r', operationalPrompt)
  })

  it('powers off on the ACPI button', async () => {
    const start = performance.now()
    await guest.monitor('system_powerdown')
    await guest.ended
    assert.ok(performance.now() - start < 5000)
  })
})

describe('lab router under QEMU with a slow command line', function () {
  this.timeout(180_000)
  this.bail(true)
  let guest: QemuGuest
  let boot: string

  before(async () => {
    const image = await buildLabImage({ cacheDirectory: cacheDirectory(), shell: localShell })
    guest = startQemu(image, {
      sshPort: await freePort(),
      arguments: 'vmr.latency_ms=1000 vmr.load_ms=2000 vmr.config_error',
    })
    boot = await guest.awaitOutput(/login: $/, 90_000)
    await guest.type('vyos\r', /Password: $/)
    await guest.type('vyos\r', operationalPrompt)
  })
  after(async () => {
    await guest?.stop()
  })

  it('asks for a login only once the boot configuration is loaded, and warns of its errors at configure', async () => {
    assert.match(boot, /configure failed!\r\n\r\r\nWelcome to VyOS - vyos ttyS0\r\n\r\nvyos login: $/)
    assert.match(await guest.type('cut -d. -f1 /proc/uptime\r', operationalPrompt), /\r\n(?:[2-9]|\d\d+)\r\n/)
    assert.equal(
      await guest.type('configure\r', configurationPrompt),
      `configure\r\nWARNING: There was a config error on boot: saving the configuration now could overwrite data.\r\nYou may want to check and reload the boot config\r\n[edit]\r\r\nvyos@vyos# `,
    )
    await guest.type('exit\r', operationalPrompt)
  })

  it('takes the asked time for each command, and decorates errors while the pager is on', async () => {
    await guest.type('configure\r', configurationPrompt)
    const start = performance.now()
    const refused = await guest.type('set interfaces ethernet eth0 adress 1.2.3.4/24\r', configurationPrompt)
    assert.ok(performance.now() - start >= 900)
    assert.match(refused, /\x1b\[m.*Configuration path: interfaces ethernet eth0 \[adress\] is not valid.*\x1b\[K/s)
    await guest.type('exit\r', operationalPrompt)
    await guest.type('set terminal length 0\r', operationalPrompt)
  })

  it('refuses a commit while another operator commits', async () => {
    for (const [name, mtu] of [
      ['first', 1400],
      ['second', 1300],
    ] as const) {
      const lines = [
        'source /opt/vyatta/etc/functions/script-template',
        'configure',
        `set interfaces ethernet eth1 mtu ${mtu}`,
      ]
      await guest.type(
        `printf '%s\\n' ${[...lines, 'commit', 'exit'].map((line) => `'${line}'`).join(' ')} > /tmp/${name}\r`,
        operationalPrompt,
      )
    }
    const shown = await guest.type(
      '{ vbash /tmp/first & sleep 0.5; vbash /tmp/second; wait; } 2>&1 | cat; cat /sys/class/net/eth1/mtu\r',
      operationalPrompt,
    )
    assert.match(shown, /Configuration system temporarily locked due to another commit in progress/)
    assert.match(shown, /\r\n1400\r\n/)
  })

  it('saves, loads and merges configuration files', async () => {
    await guest.type('configure\r', configurationPrompt)
    assert.match(await guest.type('save\r', configurationPrompt), /^save\r\n\[edit\]/)
    assert.match(
      await guest.type('load /config/none.boot\r', configurationPrompt),
      /\r\nNo such file '\/config\/none\.boot'\r\n/,
    )
    await guest.type('delete interfaces ethernet eth1 mtu\r', configurationPrompt)
    assert.match(
      await guest.type('load /config/config.boot\r', configurationPrompt),
      /\r\nCannot load: configuration modified\.\r\nCommit or discard/,
    )
    await guest.type('commit\r', configurationPrompt)
    assert.match(
      await guest.type('load /config/config.boot\r', configurationPrompt),
      /\r\nLoading configuration from '\/config\/config\.boot'\r\nLoad complete\. Use 'commit' to make changes effective\.\r\n/,
    )
    assert.match(
      await guest.type('compare\r', configurationPrompt),
      /\[interfaces ethernet eth1\]\r\n\+ mtu "1400"\r\n/,
    )
    assert.match(await guest.type('merge /etc/shadow\r', configurationPrompt), /\r\nNo config file by that name\.\r\n/)
    assert.match(await guest.type('exit\r', configurationPrompt), /Cannot exit: configuration modified\./)
    await guest.type('exit discard\r', operationalPrompt)
  })

  it('takes no time any more once its latency is set so, and loses the saved file on a full disk as VyOS does', async () => {
    await guest.type('echo 0 | sudo tee /run/lab-router/latency_ms\r', operationalPrompt)
    await guest.type('sudo mount -t tmpfs -o size=4k tmpfs /config\r', operationalPrompt)
    await guest.type('sudo head -c 4096 /dev/zero | sudo tee /config/full >/dev/null\r', operationalPrompt)
    await guest.type('configure\r', configurationPrompt)
    const start = performance.now()
    const saved = await guest.type('save\r', configurationPrompt)
    assert.match(saved, /^save\r\nTraceback .*\r\nOSError: \[Errno 28\] No space left on device\r\n\[edit\]/s)
    assert.ok(performance.now() - start < 900)
    await guest.type('exit\r', operationalPrompt)
    assert.match(await guest.type('wc -c /config/config.boot; sudo umount /config\r', operationalPrompt), /\r\n0 /)
  })

  it('comes back with the active configuration when its configuration service is killed', async () => {
    await guest.type('sudo kill -9 $(cat /run/vyos-config/pid); sleep 2\r', operationalPrompt)
    assert.match(await guest.type('show configuration commands\r', operationalPrompt), /set system host-name 'vyos'/)
  })

  it('reboots on command', async () => {
    await guest.type('reboot now\r', /reboot now/)
    await guest.ended
  })
})
