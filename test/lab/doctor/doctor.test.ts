import assert from 'node:assert/strict'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { localShell } from '../../../src/shell/local.ts'
import { runChecked } from '../../../src/shell/shell.ts'
import { loadTestbed, withPrefix } from '../../../src/testbed/testbed.ts'

const bridge = 'vmrt-br1'
const foreignBridge = 'vmrt-other'

interface Report {
  readonly findings: readonly { readonly subject: string; readonly level: string; readonly message: string }[]
  readonly fixed?: readonly string[]
}

async function doctor(...options: readonly string[]) {
  const argv = [process.execPath, '--import', 'tsx', 'src/cli/main.ts', 'doctor', ...options]
  const { stdout, exitCode, durationMs } = await localShell.run(argv, { timeoutMs: 30_000 })
  return { stdout, exitCode, durationMs }
}

async function report(...options: readonly string[]): Promise<Report> {
  return JSON.parse((await doctor('--json', ...options)).stdout) as Report
}

describe('vmr doctor on this host', function () {
  this.timeout(60_000)
  let folder: string
  let testbed: string
  before(async () => {
    folder = await mkdtemp(join(tmpdir(), 'vmr-doctor-'))
    testbed = join(folder, 'testbed.yaml')
    // JSON is YAML.
    await writeFile(testbed, JSON.stringify(withPrefix(await loadTestbed('lab'), 'vmrt')))
    for (const name of [bridge, foreignBridge])
      await runChecked(localShell, [
        ...['ip', 'link', 'add', 'name', name, 'type', 'bridge', 'mcast_snooping', '1', 'mcast_querier', '1'],
      ])
  })
  after(async () => {
    for (const name of [bridge, foreignBridge]) await localShell.run(['ip', 'link', 'delete', 'dev', name])
    await rm(folder, { recursive: true })
  })

  it('finds libvirt, the kernel’s features and the tools that set-up installed', async () => {
    const { findings } = await report()
    const level = (subject: string) => findings.find((each) => each.subject === subject)?.level
    for (const subject of ['connection', 'QEMU', 'veth pairs', 'bridges', 'macvtap', 'ip', 'iperf3', 'tcpdump', 'nft'])
      assert.equal(level(subject), 'pass', subject)
  })

  it('warns of bridges that snoop with a querier, and mends the testbed’s own, only when asked to', async () => {
    const about = ({ findings }: Report, name: string) => findings.find(({ subject }) => subject === `bridge ${name}`)
    const snooping = async (name: string) =>
      /mcast_snooping (\d)/.exec(await runChecked(localShell, ['ip', '-d', 'link', 'show', name]))?.[1]
    const before = await report('--testbed', testbed, '--fix', '--dry-run')
    assert.match(about(before, bridge)?.message ?? '', /is the querier/)
    assert.equal(about(before, foreignBridge)?.level, 'warn')
    assert.deepEqual([await snooping(bridge), await snooping(foreignBridge)], ['1', '1'])
    const mended = await report('--testbed', testbed, '--fix')
    assert.deepEqual(
      mended.fixed?.filter((words) => words.includes('vmrt')),
      [`switch multicast snooping off on ${bridge}`],
    )
    assert.equal(about(mended, bridge)?.level, 'pass')
    assert.deepEqual([await snooping(bridge), await snooping(foreignBridge)], ['0', '1'])
  })

  it('warns of a macvtap that was left on an uplink', async () => {
    const link = (...words: readonly string[]) => runChecked(localShell, ['ip', 'link', ...words])
    await link('add', 'name', 'vmrt-up1', 'type', 'veth', 'peer', 'name', 'vmrt-far1')
    try {
      await link('add', 'link', 'vmrt-up1', 'name', 'vmrt-left', 'type', 'macvtap')
      const { findings } = await report('--testbed', testbed)
      const said = findings
        .filter(({ subject }) => subject === 'vmrt-up1')
        .map(({ level, message }) => `${level} ${message}`)
      assert.match(said.join(), /warn vmrt-left is on it, and no running VM has it/)
    } finally {
      await link('delete', 'dev', 'vmrt-up1')
    }
  })

  it('finds a FORWARD policy of the older iptables, which nft does not show', async function () {
    const legacy = (policy: string) => localShell.run(['iptables-legacy', '-P', 'FORWARD', policy])
    const bridged = 'net.bridge.bridge-nf-call-iptables'
    const { stdout, exitCode } = await localShell.run(['sysctl', '-n', bridged])
    // Neither is in every kernel.
    if (exitCode !== 0 || (await legacy('DROP')).exitCode !== 0) return this.skip()
    try {
      await runChecked(localShell, ['sysctl', '-q', '-w', `${bridged}=1`])
      const found = (await report()).findings.find(({ subject }) => subject === 'packet filter on bridges')
      assert.match(`${found?.level} ${found?.message}`, /^fail .*ip \(iptables-legacy\) filter FORWARD/)
    } finally {
      await runChecked(localShell, ['sysctl', '-q', '-w', `${bridged}=${stdout.trim()}`])
      await legacy('ACCEPT')
    }
  })

  it('fails, with libvirt’s status, where libvirt is not reached', async () => {
    const { stdout, exitCode } = await doctor('--connect', 'qemu:///system?socket=/nonexistent/sock')
    assert.match(stdout, /FAIL {2}connection .*socket is missing/)
    assert.equal(exitCode, 5)
  })
})
