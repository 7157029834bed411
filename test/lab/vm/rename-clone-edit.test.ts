import assert from 'node:assert/strict'
import { mkdtemp, readdir, readFile, rm, stat, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { localShell } from '../../../src/shell/local.ts'
import { runChecked } from '../../../src/shell/shell.ts'
import { undoRename } from '../../../src/vm/rename.ts'

const name = 'vmrt-one'
const other = 'vmrt-two'
const adopted = 'vmrt-theirs'
const uri = 'qemu:///system'

describe('a VM with a disk', function () {
  this.timeout(120_000)
  let folder: string

  const run = (argv: readonly string[], input = '') =>
    localShell.run(['env', `VMR_STATE_DIR=${folder}/state`, process.execPath, 'dist/cli.js', ...argv], {
      timeoutMs: 60_000,
      stdin: input,
    })
  const vm = async (...argv: readonly string[]): Promise<Record<string, unknown>> => {
    const { stdout, stderr, exitCode } = await run(['vm', ...argv, '--json'])
    assert.equal(exitCode, 0, stderr)
    return JSON.parse(stdout) as Record<string, unknown>
  }
  const refused = async (status: number, message: RegExp, argv: readonly string[], input?: string) => {
    const { stderr, exitCode } = await run(['vm', ...argv], input)
    assert.match(stderr, message)
    assert.equal(exitCode, status)
  }
  const names = async () =>
    ((await vm('list')) as unknown as readonly { readonly name: string }[]).map((each) => each.name)
  const directories = () => readdir(join(folder, 'state', 'vms'))
  const journals = async () => {
    const all = await readdir(join(folder, 'state', 'undo'))
    return Promise.all(all.map((file) => readFile(join(folder, 'state', 'undo', file), 'utf8')))
  }
  const virsh = (...argv: readonly string[]) => runChecked(localShell, ['virsh', '--connect', uri, ...argv])

  before(async () => {
    folder = await mkdtemp(join(tmpdir(), 'vmr-rename-'))
    // QEMU runs as another user.
    await runChecked(localShell, ['chmod', '755', folder])
    await runChecked(localShell, ['qemu-img', 'create', '-q', '-f', 'qcow2', `${folder}/base.qcow2`, '32M'])
    await writeFile(
      join(folder, 'router.yaml'),
      'os: lab-router\nimage: lab-router\nvcpus: 1\nmemory: 384 MiB\nnics: [{}]\ndisks: [{ base: base.qcow2 }]\n',
    )
    await vm('create', name, '--domain', join(folder, 'router.yaml'), '--accel', 'tcg', '--no-addresses')
  })
  after(async () => {
    for (const each of [name, other]) await run(['vm', 'delete', each, '--yes'])
    await localShell.run(['virsh', '--connect', uri, 'undefine', adopted])
    await run(['lab', 'down'])
    await rm(folder, { recursive: true })
  })

  it('goes back to a snapshot of its disk and memory, in the interface mode of then, and runs on', async () => {
    assert.equal((await vm('snapshot', name, 'before')).taken, 'before')
    await refused(5, /has a snapshot before already/, ['snapshot', name, 'before'])
    await vm('pause', name)
    await vm('revert', name, 'before', '--yes')
    assert.equal((await vm('show', name)).state, 'running')
    await vm('wait', name, '--for', 'console')
    await vm('switch', name, '--nic', 'macvtap-trust', '--no-verify')
    await vm('revert', name, 'before', '--yes')
    const { state, nics } = await vm('show', name)
    assert.equal(state, 'running')
    assert.deepEqual(
      (nics as readonly { readonly mode: string }[]).map(({ mode }) => mode),
      ['bridge'],
    )
    const { snapshots } = await vm('snapshot', name, 'before', '--delete')
    assert.deepEqual(snapshots, [])
    await refused(5, /has no snapshot before/, ['revert', name, 'before', '--yes'])
  })

  it('is neither renamed nor copied while it runs', async () => {
    await refused(5, /runs, and libvirt renames no running VM/, ['rename', name, other])
    await refused(5, /a copy of its disk would be torn/, ['clone', name, other])
    assert.deepEqual([await names(), await directories()], [[name], [name]])
  })

  it('is edited as a whole: what vmr or libvirt refuses changes nothing', async () => {
    const { xml } = await vm('xml', name, '--inactive')
    const edit = (from: string | RegExp, to: string) => String(xml).replace(from, to)
    const change = ['edit', name, '--file', '-']
    await refused(2, /-:\d+:\d+: <name> must stay as it was/, change, edit(`<name>${name}<`, '<name>vmrt-x<'))
    await refused(
      2,
      /-:\d+:\d+: vmr’s own element in <metadata> must stay/,
      change,
      edit(/<metadata>.*<\/metadata>/s, ''),
    )
    await refused(2, /vcpu/, change, edit(/<vcpu[^>]*>1</, '<vcpu>x<'))
    await refused(2, /-:\d+:\d+: /, change, edit('</domain>', ''))
    const larger = edit(/<vcpu([^>]*)>1</, '<vcpu$1>2<')
    await writeFile(join(folder, 'new.xml'), larger)
    const dry = await vm('edit', name, '--file', join(folder, 'new.xml'), '--dry-run')
    assert.match(String(dry.diff), /^\+ .*<vcpu placement="static">2</m)
    assert.equal((await vm('xml', name, '--inactive')).xml, xml)
    const done = await vm('edit', name, '--file', join(folder, 'new.xml'))
    assert.deepEqual([done.changed, done.atNextStart], [true, true])
    assert.match(String((await vm('xml', name, '--inactive')).xml), />2<\/vcpu>/)
    assert.equal((await vm('edit', name, '--file', join(folder, 'new.xml'))).changed, false)
  })

  it('has a twin with a UUID, MAC addresses and a disk of its own, which starts beside it', async () => {
    await vm('stop', name, '--timeout', '1')
    await refused(5, /there is already a domain/, ['clone', name, name])
    await virsh('attach-disk', name, '/dev/null', 'vdz', '--sourcetype', 'block', '--config')
    await refused(2, /writes to vdz, which is no file of its own/, ['clone', name, other])
    await virsh('detach-disk', name, 'vdz', '--config')
    const { uuid, macs } = await vm('clone', name, other)
    const original = await vm('show', name)
    assert.notEqual(uuid, original.uuid)
    const [nic] = original.nics as readonly { readonly mac: string }[]
    assert.ok(!(macs as readonly string[]).includes(nic?.mac ?? ''))
    await Promise.all([vm('start', name), vm('start', other)])
    await stat(join(folder, 'state', 'vms', other, 'disk0.qcow2'))
    await vm('stop', name, '--timeout', '1')
    await run(['vm', 'delete', other, '--yes'])
    assert.deepEqual([await names(), await directories()], [[name], [name]])
  })

  it('is renamed with its files and with what is noted for its removal, and back after a crash', async () => {
    const { uuid } = await vm('show', name)
    await vm('rename', name, other)
    assert.deepEqual([await names(), await directories()], [[other], [other]])
    assert.ok((await journals()).every((text) => !text.includes(`"vm ${name}"`)))
    assert.match(String((await vm('xml', other)).xml), new RegExp(`${folder}/state/vms/${other}/disk0.qcow2`))
    process.env.VMR_STATE_DIR = join(folder, 'state')
    try {
      assert.equal(await undoRename({ kind: 'vm-rename', uri, uuid: String(uuid), from: name, to: other }), 'undone')
    } finally {
      delete process.env.VMR_STATE_DIR
    }
    assert.deepEqual([await names(), await directories()], [[name], [name]])
    await vm('rename', name, other)
    await run(['vm', 'delete', other, '--yes'])
    assert.deepEqual([await names(), await directories()], [[], []])
    assert.ok((await journals()).every((text) => !/"vm vmrt-/.test(text)))
  })

  it('of somebody else’s is left alone until it is taken over, and its disk then too', async () => {
    const disk = join(folder, 'theirs.qcow2')
    await runChecked(localShell, ['qemu-img', 'create', '-q', '-f', 'qcow2', disk, '1M'])
    const file = join(folder, 'theirs.xml')
    await writeFile(
      file,
      `<domain type='qemu'><name>${adopted}</name><memory unit='MiB'>64</memory><os><type arch='x86_64'>hvm</type></os>
       <devices><disk type='file' device='disk'><driver name='qemu' type='qcow2'/><source file='${disk}'/>
       <target dev='vda' bus='virtio'/></disk>
       <interface type='direct' trustGuestRxFilters='yes'><source dev='vmr-up1' mode='bridge'/><model type='virtio'/>
       </interface></devices></domain>`,
    )
    await virsh('define', file)
    await refused(5, /was not made by vmr/, ['delete', adopted, '--yes'])
    const dry = await vm('adopt', adopted, '--dry-run')
    assert.equal(dry.adopted, false)
    const { nics } = await vm('adopt', adopted)
    const [nic] = nics as readonly { readonly mode: string; readonly uplink: string }[]
    assert.deepEqual([nic?.mode, nic?.uplink], ['macvtap-trust', 'vmr-up1'])
    assert.equal((await vm('adopt', adopted)).adopted, false)
    assert.deepEqual(await names(), [adopted])
    await run(['vm', 'delete', adopted, '--yes'])
    assert.deepEqual(await names(), [])
    await stat(disk)
  })
})
