import assert from 'node:assert/strict'
import { execFile } from 'node:child_process'
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { packageRoot } from '../../src/config/package-root.ts'

describe('vmr nic', function () {
  this.timeout(30_000)
  let directory: string
  before(async () => {
    directory = await mkdtemp(join(tmpdir(), 'vmr-nic-'))
    await mkdir(join(directory, 'config', 'vmr', 'nics'), { recursive: true })
    await mkdir(join(directory, 'here', 'templates', 'nics'), { recursive: true })
    await writeFile(
      join(directory, 'config', 'vmr', 'nics', 'tuned.xml'),
      "<interface type='bridge'><source/><driver queues='4'/></interface>",
    )
    await writeFile(
      join(directory, 'here', 'templates', 'nics', 'macvtap.xml'),
      "<interface type='direct'><source mode='vepa'/></interface>",
    )
  })
  after(() => rm(directory, { recursive: true, force: true }))

  const nic = (...args: readonly string[]) =>
    new Promise<{ readonly status: number; readonly stdout: string; readonly stderr: string }>((resolve) => {
      execFile(
        process.execPath,
        [join(packageRoot(), 'dist', 'cli.js'), 'nic', ...args],
        { cwd: join(directory, 'here'), env: { ...process.env, XDG_CONFIG_HOME: join(directory, 'config') } },
        (error, stdout, stderr) =>
          resolve({ status: typeof error?.code === 'number' ? error.code : 0, stdout, stderr }),
      )
    })

  it('lists modes of one’s own beside those of vmr, and says where a file replaces another', async () => {
    const { stdout, stderr, status } = await nic('list')
    assert.equal(status, 0)
    assert.match(stdout, /│ tuned +│ bridge with the uplink +│ not measured/)
    assert.match(stdout, /│ macvtap-trust +│ uplink in no bridge +│ works +│ works +│ lost .*│ vmr/)
    assert.match(stdout, /│ macvtap +│ .* templates\/nics\/macvtap\.xml/)
    assert.match(stderr, /NIC mode macvtap is that of templates\/nics\/macvtap\.xml, which replaces vmr/)
    assert.match(stderr, /bridge-trust: libvirt accepts trustGuestRxFilters on a bridge and does nothing with it/)
  })

  it('explains a mode by role, and as JSON', async () => {
    const { stdout } = await nic('explain', 'macvtap-private')
    assert.match(stdout, /ends an IPv4-in-IPv6 tunnel +│ ipip6 +│ outbound only +│ outbound only/)
    assert.match(stdout, /What cures it\ntrustGuestRxFilters, as in macvtap-private-trust/)
    assert.match(stdout, /What it costs in security\nThe guest hears only/)
    const { carries, hostNeeds } = JSON.parse((await nic('explain', 'macvtap-private', '--json')).stdout)
    assert.deepEqual(carries.bridge, { ipv4: 'lost', ipv6: 'lost' })
    assert.deepEqual(hostNeeds, { kind: 'uplink', exclusive: false })
  })

  it('refuses a bad file with its line', async () => {
    const bad = join(directory, 'here', 'templates', 'nics', 'bad.xml')
    await writeFile(bad, "<interface type='bridge'>\n  <sourse/>\n</interface>")
    try {
      const { stderr, status } = await nic('list')
      assert.equal(status, 2)
      assert.match(stderr, /templates\/nics\/bad\.xml:2:3: <sourse> is unknown, did you mean <source>\n/)
    } finally {
      await rm(bad)
    }
  })
})
