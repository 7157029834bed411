import assert from 'node:assert/strict'
import { execFile } from 'node:child_process'
import { chmod, cp, mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises'
import { createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { packageRoot } from '../../../src/config/package-root.ts'
import { localShell } from '../../../src/shell/local.ts'
import { runChecked } from '../../../src/shell/shell.ts'

const cli = join(packageRoot(), 'dist', 'cli.js')

interface Ended {
  readonly status: number
  readonly stderr: string
}

function vmr(...args: readonly string[]): Promise<Ended> {
  return new Promise((resolve) => {
    execFile(process.execPath, [cli, ...args], { timeout: 60_000 }, (error, _stdout, stderr) =>
      resolve({ status: typeof error?.code === 'number' ? error.code : 0, stderr }),
    )
  })
}

describe('bad input', function () {
  this.timeout(90_000)
  let directory: string
  before(async () => {
    directory = await mkdtemp(join(tmpdir(), 'vmr-bad-input-'))
  })
  after(() => rm(directory, { recursive: true, force: true }))

  const cases: readonly (readonly [what: string, args: readonly string[], status: number, says: RegExp])[] = [
    [
      'an unknown mode',
      ['vm', 'create', 'r1', '--nic', 'macvtapp'],
      2,
      /^vmr: there is no NIC mode "macvtapp"\n.*macvtap/,
    ],
    ['a VM name that leaves its folder', ['vm', 'create', '../r1'], 2, /^vmr: "\.\.\/r1" cannot be a VM name/],
    ['a VM name that is markup', ['vm', 'create', '<r1>'], 2, /^vmr: "<r1>" cannot be a VM name/],
    ['a VM that is not there', ['vm', 'show', 'vmr-nobody'], 5, /^vmr: there is no VM vmr-nobody/],
    [
      'a definition that is not there',
      ['vm', 'create', 'r1', '--domain', 'nope'],
      2,
      /^vmr: there is no domain definition/,
    ],
    ['an unknown matrix', ['bench', 'run', '--matrix', 'nope'], 2, /^vmr: there is no "nope" among the matrices/],
    ['an unknown option', ['vm', 'list', '--nope'], 2, /unknown option/],
    ['seconds that are none', ['vm', 'stop', 'r1', '--timeout', 'soon'], 2, /^vmr: --timeout takes seconds/],
    ['a family that is none', ['bench', 'run', '--family', 'ipx'], 2, /^vmr: --family takes ipv4 or ipv6/],
    ['a URI of another world', ['vm', 'list', '--connect', 'qemu+tls://far/system'], 5, /^vmr: .*qemu:\/\/\/system/s],
  ]
  for (const [what, args, status, says] of cases) {
    it(`${what} is one clear line with what to do, and status ${status}`, async () => {
      const ended = await vmr(...args)
      assert.match(ended.stderr, says)
      assert.equal(ended.status, status)
      assert.doesNotMatch(ended.stderr, /\n\s+at /, 'no stack trace')
    })
  }

  it('a libvirt socket that is missing says where it should be', async () => {
    const ended = await vmr('vm', 'list', '--connect', `qemu:///system?socket=${directory}/no-sock`)
    assert.match(ended.stderr, /^vmr: libvirt's socket is missing.*no-sock/)
    assert.equal(ended.status, 5)
  })

  it('a libvirt that is silent is given up on', async () => {
    const path = join(directory, 'silent-sock')
    const server = createServer(() => undefined).listen(path)
    try {
      const ended = await vmr('vm', 'list', '--connect', `qemu:///system?socket=${path}`)
      assert.match(ended.stderr, /^vmr: libvirt does not answer/)
      assert.equal(ended.status, 5)
    } finally {
      server.close()
    }
  })

  it('a libvirt socket that is not permitted says so, and who would be', async () => {
    const path = join(directory, 'closed-sock')
    const server = createServer(() => undefined).listen(path)
    // A user other than root must be able to read the program itself.
    const program = join(directory, 'dist')
    await cp(join(packageRoot(), 'dist'), program, { recursive: true })
    await chmod(directory, 0o755)
    await chmod(path, 0o600)
    try {
      // This Node.js may lie where another user may not look, so it starts as root.
      const asNobody = `process.chdir(${JSON.stringify(directory)}); process.setgroups([]); process.setgid(65534)
        process.setuid(65534); await import(${JSON.stringify(join(program, 'cli.js'))})`
      const { stderr, exitCode } = await localShell.run([
        ...[process.execPath, '--input-type=module', '--eval', asNobody, '--', 'vmr'],
        ...['vm', 'list', '--connect', `qemu:///system?socket=${path}`],
      ])
      assert.match(stderr, /^vmr: libvirt refuses this user: .*closed-sock/)
      assert.match(stderr, /\n {2}Run vmr as root, or join the group libvirt/)
      assert.equal(exitCode, 5)
    } finally {
      server.close()
    }
  })

  describe('that is met only while a VM is made', () => {
    const name = 'vmrt-bad-input'
    before(() => rm(join(directory, 'state'), { recursive: true, force: true }))
    after(async () => {
      process.env.VMR_STATE_DIR = join(directory, 'state')
      await vmr('lab', 'down')
      delete process.env.VMR_STATE_DIR
    })

    /** Neither a domain nor a folder of its own is left. */
    async function assertNothingLeft(): Promise<void> {
      const domains = await runChecked(localShell, ['virsh', '--connect', 'qemu:///system', 'list', '--all', '--name'])
      assert.ok(!domains.includes(name))
      const { stdout } = await localShell.run(['find', directory, '-name', name])
      assert.equal(stdout, '')
    }

    async function create(nic: string, image = 'lab-router'): Promise<Ended> {
      const file = join(directory, 'router.yaml')
      await writeFile(file, `os: lab-router\nimage: ${image}\nmemory: 384 MiB\nnics:\n  - ${nic}\n`)
      process.env.VMR_STATE_DIR = join(directory, 'state')
      try {
        return await vmr('vm', 'create', name, '--accel', 'tcg', '--domain', file)
      } finally {
        delete process.env.VMR_STATE_DIR
      }
    }

    it('a bridge that does not exist is named', async () => {
      const ended = await create('{ mode: bridge, source: vmrt-nowhere }')
      assert.match(ended.stderr, /^vmr: starting vmrt-bad-input: this host has no link vmrt-nowhere/)
      assert.equal(ended.status, 4)
      await assertNothingLeft()
    })

    it('an image that is no image is named, with how to make one', async () => {
      await writeFile(join(directory, 'garbage.qcow2'), 'this is no image')
      const ended = await create('{}', './garbage.qcow2')
      assert.match(ended.stderr, /^vmr: .*garbage\.qcow2 is no qcow2 image\n.*qemu-img convert/)
      assert.equal(ended.status, 7)
      await assertNothingLeft()
    })

    it('a full disk says which file could not be written', async () => {
      const disk = join(directory, 'state')
      await rm(disk, { recursive: true, force: true })
      await mkdir(disk)
      await runChecked(localShell, ['mount', '-t', 'tmpfs', '-o', 'size=64k', 'tmpfs', disk])
      try {
        await assert.rejects(writeFile(join(disk, 'ballast'), Buffer.alloc(1 << 20)), { code: 'ENOSPC' })
        const ended = await create('{}')
        assert.match(ended.stderr, /^vmr: .*state.* could not be written: the disk is full\n {2}Free space/)
        assert.equal(ended.status, 4)
        await assertNothingLeft()
      } finally {
        await runChecked(localShell, ['umount', disk])
      }
    })
  })

  it('a definition with a typing error names file, line and field', async () => {
    const file = join(directory, 'r1.yaml')
    await writeFile(file, 'os: lab-router\nimage: lab-router\nmemory: 384 MiB\nnics: [{}]\nvcpu: 2\n')
    const ended = await vmr('vm', 'create', 'r1', '--domain', file)
    assert.match(ended.stderr, /r1\.yaml:5:1: vcpu: there is no such field/)
    assert.equal(ended.status, 2)
  })
})
