import assert from 'node:assert/strict'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { localShell } from '../../../src/shell/local.ts'
import { runChecked } from '../../../src/shell/shell.ts'

const name = 'vmrt-true'

describe('what `vmr vm show` finds of a running VM', function () {
  this.timeout(120_000)
  let folder: string

  const run = (...argv: readonly string[]) =>
    localShell.run(['env', `VMR_STATE_DIR=${folder}`, process.execPath, 'dist/cli.js', ...argv], { timeoutMs: 60_000 })
  const host = (words: string) => runChecked(localShell, words.split(' '))
  const show = async () => {
    const { stdout, stderr, exitCode } = await run('vm', 'show', name, '--json')
    assert.equal(exitCode, 0, stderr)
    return JSON.parse(stdout) as {
      readonly guestUnasked?: string
      readonly differences: readonly string[]
      readonly nics: readonly {
        readonly device: string
        readonly guest?: string
        readonly differences: readonly { readonly words: string }[]
      }[]
    }
  }
  const differences = async () => (await show()).nics.map((nic) => nic.differences.map(({ words }) => words).join('; '))

  before(async () => {
    folder = await mkdtemp(join(tmpdir(), 'vmr-true-'))
    const { stderr, exitCode } = await run('vm', 'create', name, '--nic', 'macvtap-trust', '--accel', 'tcg')
    assert.equal(exitCode, 0, stderr)
  })
  after(async () => {
    await run('vm', 'delete', name, '--yes')
    await run('lab', 'down')
    await rm(folder, { recursive: true })
  })

  it('is one thing for definition, libvirt, kernel and guest after its creation', async () => {
    const { nics } = await show()
    assert.deepEqual(
      nics.map((nic) => nic.differences),
      [[], []],
    )
    assert.match(nics[0]?.guest ?? '', /^eth0, MTU 1500, .*2001:db8:dead:beaf::1\/64/)
  })

  it('tells that trust which libvirt says it took away has not gone', async () => {
    const { stdout } = await localShell.run(['virsh', '--connect', 'qemu:///system', 'dumpxml', name])
    const first = /<interface .*?<\/interface>/s.exec(stdout)?.[0] ?? ''
    const file = join(folder, 'nic.xml')
    await writeFile(file, first.replace(" trustGuestRxFilters='yes'", ''))
    await host(`virsh --connect qemu:///system update-device ${name} ${file} --live --config`)
    const [eth0, eth1] = await differences()
    assert.match(eth0 ?? '', /^runs as .*, trusting; as macvtap \(bridge\) on vmr-up1 from the next start$/)
    assert.equal(eth1, '')
    await writeFile(file, first)
    await host(`virsh --connect qemu:///system update-device ${name} ${file} --config`)
  })

  it('tells what of a definition that somebody edited waits for the next start', async () => {
    await host(`virsh --connect qemu:///system setmaxmem ${name} 512M --config`)
    assert.deepEqual((await show()).differences, ['memory: runs with 384 MiB; 512 MiB from the next start'])
  })

  it('tells what somebody changed behind libvirt’s back', async () => {
    const [, { device } = { device: '' }] = (await show()).nics
    const group = '33:33:ff:00:00:01'
    await host(`ip maddress delete ${group} dev ${device}`)
    await host(`ip link set dev ${device} mtu 1400`)
    const [eth0, eth1] = await differences()
    assert.equal(eth0, '')
    assert.match(eth1 ?? '', new RegExp(`trusts the guest’s filters, and ${device} still does not let in .*${group}`))
    assert.match(eth1 ?? '', /frames of 1500 bytes, and \S+ takes 1400/)
  })

  it('says that the guest was not asked when somebody else has its console', async () => {
    const console = await localShell.start([
      'script',
      '-qec',
      `virsh --connect qemu:///system console ${name}`,
      '/dev/null',
    ])
    try {
      let unasked: string | undefined
      for (let tries = 0; unasked === undefined && tries < 20; tries++) unasked = (await show()).guestUnasked
      assert.match(unasked ?? '', /another client has the console/)
    } finally {
      await console.stop()
    }
  })
})
