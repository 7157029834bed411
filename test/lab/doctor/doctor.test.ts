import assert from 'node:assert/strict'
import { localShell } from '../../../src/shell/local.ts'
import { runChecked } from '../../../src/shell/shell.ts'

const bridge = 'vmrt-doctor'

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
  before(() =>
    runChecked(localShell, [
      ...['ip', 'link', 'add', 'name', bridge, 'type', 'bridge', 'mcast_snooping', '1', 'mcast_querier', '1'],
    ]),
  )
  after(() => runChecked(localShell, ['ip', 'link', 'delete', 'dev', bridge]))

  it('finds libvirt, the kernel’s features and the tools that set-up installed', async () => {
    const { findings } = await report()
    const level = (subject: string) => findings.find((each) => each.subject === subject)?.level
    for (const subject of ['connection', 'QEMU', 'veth pairs', 'bridges', 'macvtap', 'ip', 'iperf3', 'tcpdump', 'nft'])
      assert.equal(level(subject), 'pass', subject)
  })

  it('warns of a bridge that snoops with a querier, and mends it only when asked to', async () => {
    const about = ({ findings }: Report) => findings.find(({ subject }) => subject === `bridge ${bridge}`)
    const snooping = async () =>
      /mcast_snooping (\d)/.exec(await runChecked(localShell, ['ip', '-d', 'link', 'show', bridge]))?.[1]
    assert.match(about(await report())?.message ?? '', /is the querier/)
    assert.equal(about(await report('--fix', '--dry-run'))?.level, 'warn')
    assert.equal(await snooping(), '1')
    const mended = await report('--fix')
    assert.ok(mended.fixed?.some((words) => words.includes(bridge)))
    assert.equal(about(mended)?.level, 'pass')
    assert.equal(await snooping(), '0')
  })

  it('fails, with libvirt’s status, where libvirt is not reached', async () => {
    const { stdout, exitCode } = await doctor('--connect', 'qemu:///system?socket=/nonexistent/sock')
    assert.match(stdout, /FAIL {2}connection .*socket is missing/)
    assert.equal(exitCode, 5)
  })
})
