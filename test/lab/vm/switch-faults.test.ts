import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { appendFile, mkdtemp, readdir, readFile, rm, truncate } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { journalDirectory } from '../../../src/config/paths.ts'
import { readDomainFacts } from '../../../src/domain/domain-facts.ts'
import { findNicMode } from '../../../src/domain/nic-modes.ts'
import { isAttachedAs } from '../../../src/domain/nic-switch.ts'
import type { ErrorCode } from '../../../src/errors/codes.ts'
import { isVmrError } from '../../../src/errors/vmr-error.ts'
import type { Connection } from '../../../src/libvirt/index.ts'
import { interfaceKeeper } from '../../../src/os/vyos/keep-interface.ts'
import { waitUntilUsable } from '../../../src/os/wait-until-usable.ts'
import { localShell } from '../../../src/shell/local.ts'
import { runChecked } from '../../../src/shell/shell.ts'
import { makeStandingLab } from '../../../src/vm/standing-lab.ts'
import { finishPendingSwitch, prepareSwitch, switchRunning } from '../../../src/vm/switch/switch-vm.ts'
import { prepareUplinksOf } from '../../../src/vm/uplink-uses.ts'
import { type PrivateSystemDaemon, privateSystemDaemon } from './private-system-daemon.ts'
import { makeRunningVm, type RunningVm } from './running-vm.ts'

const { signal } = new AbortController()
const uplink = 'vmrt-up2'

describe('a switch that meets a fault ends in the old mode or the new one, and', function () {
  this.timeout(90_000)
  let daemon: PrivateSystemDaemon
  let vm: RunningVm

  before(async () => {
    daemon = await privateSystemDaemon()
    vm = await makeRunningVm({ name: 'vmrt-faults', mode: 'bridge', uri: daemon.uri })
    await settle()
  })
  after(async () => {
    await vm?.remove()
    await daemon?.remove()
  })

  const settle = async () => {
    for (const [index, { dut }] of vm.testbed.links.entries())
      await waitUntilUsable(vm.machine.os, vm.guest, `eth${index}`, dut.addresses, { timeoutMs: 20_000 })
  }
  const ip = (...words: readonly string[]) => runChecked(localShell, ['ip', ...words])

  /** Switches eth1. The fault comes between its old attachment and its new one. */
  async function switchTo(mode: string, fault: () => Promise<unknown> = async () => undefined): Promise<void> {
    const found = await vm.find()
    const plan = await prepareSwitch(
      vm.connection,
      found,
      { modes: vm.modes, to: findNicMode(vm.modes, mode), links: vm.testbed.links, only: ['eth1'] },
      { signal },
    )
    const { connection } = vm
    const faulty: Connection = {
      ...connection,
      attachDevice: async (...call) => {
        await fault()
        return connection.attachDevice(...call)
      },
    }
    const keeper = interfaceKeeper(vm.guest)
    await switchRunning(faulty, found, plan, { guest: vm.guest, keeper, signal })
    await keeper.close()
  }

  async function assertIsIn(mode: string): Promise<void> {
    const { domain, facts, metadata } = await vm.find()
    const live = readDomainFacts(await vm.connection.domainXml(domain))
    assert.equal(metadata.nics[1]?.mode, mode)
    assert.equal(live.vmr?.nics[1]?.mode, mode)
    for (const defined of facts.nics) {
      const running = live.nics.find(({ mac }) => mac === defined.mac)
      assert.ok(running !== undefined && isAttachedAs(running.element, defined.element), `${defined.mac} in ${mode}`)
      assert.equal(running.pciAddress, defined.pciAddress)
    }
    await settle()
    const purposes = await Promise.all(
      (await readdir(journalDirectory())).map((name) => readFile(join(journalDirectory(), name), 'utf8')),
    )
    assert.deepEqual(
      purposes.filter((text) => text.includes('"switch of')),
      [],
      'nothing is left to finish',
    )
  }

  const says = (code: ErrorCode, pattern: RegExp) => (error: unknown) => {
    assert.ok(isVmrError(error), String(error))
    assert.match(`${error.message} | ${error.hint}`, pattern)
    assert.equal(error.code, code)
    return true
  }

  it('an uplink that is not there is named before anything is touched', async () => {
    await ip('link', 'set', 'dev', uplink, 'down')
    await ip('link', 'set', 'dev', uplink, 'name', 'vmrt-gone')
    try {
      await assert.rejects(switchTo('macvtap-trust'), says('UPLINK_NOT_FOUND', /no network interface vmrt-up2/))
    } finally {
      await ip('link', 'set', 'dev', 'vmrt-gone', 'name', uplink)
      await ip('link', 'set', 'dev', uplink, 'up')
    }
    await assertIsIn('bridge')
  })

  it('an uplink that vanishes half-way leaves a switch that is finished once it is back', async () => {
    await assert.rejects(
      switchTo('macvtap-trust', () => ip('link', 'delete', 'dev', uplink)),
      says('UPLINK_NOT_FOUND', /vmrt-faults could not be brought back: .*vmrt-up2.*vmr cleanup/s),
    )
    await makeStandingLab(vm.testbed, {})
    await vm.closeConsole()
    await finishPendingSwitch(vm.name)
    await vm.reopen()
    await assertIsIn('bridge')
  })

  it('the MAC address of another VM is not used twice', async () => {
    const mac = (await vm.find()).metadata.nics[1]?.mac
    const twin = await vm.connection.createTransientDomain(
      `<domain type='qemu'><name>vmrt-twin</name><memory unit='MiB'>16</memory><os><type arch='x86_64'>hvm</type></os>
       <devices><interface type='user'><mac address='${mac}'/></interface></devices></domain>`,
      { paused: true },
    )
    try {
      await assert.rejects(switchTo('macvtap-trust'), says('ADDRESS_DUPLICATE', new RegExp(`${mac}.*vmrt-twin`)))
    } finally {
      await vm.connection.destroyDomain(twin)
    }
    await assertIsIn('bridge')
  })

  it('a full disk is told, wherever it is met', async () => {
    const disk = await mkdtemp(join(tmpdir(), 'vmr-full-'))
    const state = process.env.VMR_STATE_DIR
    await runChecked(localShell, ['mount', '-t', 'tmpfs', '-o', 'size=4k', 'tmpfs', disk])
    try {
      await appendFile(join(disk, 'ballast'), Buffer.alloc(4096))
      process.env.VMR_STATE_DIR = disk
      await assert.rejects(switchTo('macvtap-trust'), says('HOST_DISK_FULL', /journal/))
    } finally {
      process.env.VMR_STATE_DIR = state
      await localShell.run(['umount', disk])
      await rm(disk, { recursive: true })
    }
    await assertIsIn('bridge')

    const ballast = daemon.path('/etc/libvirt/qemu/ballast')
    try {
      const full = async () => {
        await assert.rejects(appendFile(ballast, Buffer.alloc(1 << 20)), { code: 'ENOSPC' })
      }
      await assert.rejects(
        switchTo('macvtap-trust', full),
        says('HOST_DISK_FULL', /is as it was before \(eth1 bridge\)/),
      )
    } finally {
      await truncate(ballast, 0)
      await rm(ballast)
    }
    await assertIsIn('bridge')
  })

  it('a libvirtd that is killed and started again half-way finds the VM as it was', async () => {
    const restart = async () => {
      await daemon.kill()
      await daemon.start()
    }
    await assert.rejects(
      switchTo('macvtap-trust', restart),
      says('LIBVIRT_SILENT', /is as it was before \(eth1 bridge\)/),
    )
    await vm.reopen()
    await assertIsIn('bridge')
  })

  it('a macvtap that was left over is named, and the switch works when it is gone', async () => {
    await switchTo('user')
    await prepareUplinksOf({ ...(await vm.find()) })
    await ip('link', 'delete', 'dev', 'vmrt-br2')
    await ip('link', 'add', 'link', uplink, 'name', 'vmrt-left', 'type', 'macvtap', 'mode', 'bridge')
    try {
      await assert.rejects(switchTo('bridge'), says('UPLINK_BUSY', /macvtap vmrt-left.*ip link delete vmrt-left/))
    } finally {
      await ip('link', 'delete', 'dev', 'vmrt-left')
    }
    await assertIsIn('user')
  })

  it('an uplink that somebody else’s bridge holds is left to it', async () => {
    await ip('link', 'add', 'name', 'foreign0', 'type', 'bridge')
    try {
      await ip('link', 'set', 'dev', uplink, 'master', 'foreign0')
      await assert.rejects(switchTo('macvtap-trust'), says('UPLINK_BUSY', /held by foreign0, which vmr did not make/))
    } finally {
      await ip('link', 'delete', 'dev', 'foreign0')
    }
    await assertIsIn('user')
    await switchTo('bridge')
    await assertIsIn('bridge')
  })

  describe('of commands,', () => {
    const command = (...words: readonly string[]) => {
      const child = spawn(process.execPath, ['--import', 'tsx', 'src/cli/main.ts', ...words], {
        stdio: ['ignore', 'pipe', 'pipe'],
        env: process.env,
      })
      const output: string[] = []
      for (const stream of [child.stdout, child.stderr]) stream.on('data', (data: Buffer) => output.push(String(data)))
      const ended = once(child, 'close').then(([status]) => ({
        status: status as number | null,
        text: output.join(''),
      }))
      return { child, ended }
    }
    const switchCommand = (mode: string) =>
      command('vm', 'switch', vm.name, '--nic', mode, '--only', 'eth1', '--no-verify', '--connect', daemon.uri)

    before(() => vm.closeConsole())
    afterEach(async () => {
      await vm.reopen()
      await assertIsIn((await vm.find()).metadata.nics[1]?.mode ?? '')
      await vm.closeConsole()
    })
    after(() => vm.reopen())

    it('two at once take turns', async () => {
      const results = await Promise.all([switchCommand('macvtap-trust').ended, switchCommand('bridge').ended])
      for (const { status, text } of results) assert.equal(status, 0, text)
    })

    it('one that is killed half-way is finished by `vmr cleanup`', async () => {
      const { domain, metadata } = await vm.find()
      const other = metadata.nics[1]?.mode === 'bridge' ? 'macvtap-trust' : 'bridge'
      const events = await vm.connection.domainEvents({ kinds: ['device-removed'], domain })
      const { child, ended } = switchCommand(other)
      await events.next()
      child.kill('SIGKILL')
      await events.return()
      assert.equal((await ended).status, null)
      const { status, text } = await command('cleanup').ended
      assert.equal(status, 0, text)
      assert.match(text, /unfinished switch of eth1 of VM vmrt-faults/)
      assert.equal((await vm.find()).metadata.nics[1]?.mode, metadata.nics[1]?.mode)
    })
  })

  it('a QEMU that is killed half-way leaves a VM that is defined as before and starts', async () => {
    const mode = (await vm.find()).metadata.nics[1]?.mode ?? ''
    const other = mode === 'bridge' ? 'macvtap-trust' : 'bridge'
    const pid = Number(await readFile(daemon.path(`/run/libvirt/qemu/${vm.name}.pid`), 'utf8'))
    await assert.rejects(
      switchTo(other, async () => {
        process.kill(pid, 'SIGKILL')
        while (await vm.connection.isDomainActive((await vm.find()).domain)) await new Promise(setImmediate)
      }),
      says('LIBVIRT_FAILED', new RegExp(`does not run, and is defined as before \\(eth1 ${mode}\\)`)),
    )
    await vm.reopen()
    await assertIsIn(mode)
  })
})
