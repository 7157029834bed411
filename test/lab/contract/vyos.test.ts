/*
 * What vmr needs of a VyOS, from its image to its deletion. VMR_TEST_VYOS_IMAGE names a real one's installer ISO or
 * qcow2 disk (`make test-vyos`); without it the lab router stands in, which an ISO of its own installs. Nothing here
 * knows which of the two it is.
 */
import assert from 'node:assert/strict'
import { chmod, mkdtemp, readdir, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import { execa } from 'execa'
import { caseLinks } from '../../../src/bench/cases/bench-case.ts'
import { benchCases } from '../../../src/bench/cases/index.ts'
import { type NetworkConfig, networkConfigSchema } from '../../../src/config/network-config.ts'
import { packageRoot } from '../../../src/config/package-root.ts'
import { imagesDirectory } from '../../../src/config/paths.ts'
import { isVmrError } from '../../../src/errors/vmr-error.ts'
import { connect } from '../../../src/libvirt/index.ts'
import type { NetworkObservation } from '../../../src/os/os.ts'
import type { VyosPath } from '../../../src/os/vyos/path.ts'
import type { VyosChange } from '../../../src/os/vyos/plan.ts'
import { changeConfiguration, readConfiguration } from '../../../src/os/vyos/transaction.ts'
import { shellAccess } from '../../../src/os/vyos/vyos-access.ts'
import { planVyos, vyosOs } from '../../../src/os/vyos/vyos-os.ts'
import { waitUntilAllUsable } from '../../../src/os/wait-until-usable.ts'
import { runChecked, type Shell } from '../../../src/shell/shell.ts'
import { loadTestbed } from '../../../src/testbed/testbed.ts'
import { findVm } from '../../../src/vm/find-vm.ts'
import { openGuestShell } from '../../../src/vm/ssh/open-guest-shell.ts'
import { makeFakeInstaller } from '../image/fake-installer.ts'

const given = process.env.VMR_TEST_VYOS_IMAGE
const cli = join(packageRoot(), 'dist', 'cli.js')
const [image, router] = [`contract-${process.pid}`, `vmrt-contract-${process.pid}`]
const uri = 'qemu:///system'
const signal = new AbortController().signal

const lines = (paths: readonly VyosPath[]) => paths.map((path) => path.join(' ')).toSorted()
const set = (line: string): VyosChange => ({ kind: 'set', path: line.split(' '), single: false, objects: [3] })

describe(`the contract with VyOS, by ${given ?? 'the lab router'}`, function () {
  // A real one without KVM installs for half an hour, boots for four minutes and commits for one.
  this.timeout(given === undefined ? 180_000 : 2 * 3_600_000)
  // Each step stands on the one before.
  this.bail(true)
  let folder: string
  let stateBefore: string | undefined

  const vmr = async (...words: readonly string[]) => {
    const { stdout, stderr, exitCode } = await execa(process.execPath, [cli, ...words], {
      reject: false,
      stdin: 'ignore',
    })
    assert.equal(exitCode, 0, `vmr ${words.join(' ')}: ${stderr}`)
    return stdout
  }
  const json = async (...words: readonly string[]) => JSON.parse(await vmr(...words, '--json'))

  /** A task in the guest, over its console. */
  const inGuest = async <T>(task: (guest: Shell) => Promise<T>): Promise<T> => {
    const connection = await connect(uri)
    try {
      const opened = await openGuestShell(connection, await findVm(connection, router), { via: 'console', signal })
      try {
        return await task(opened.shell)
      } finally {
        await opened.close()
      }
    } finally {
      await connection.close()
    }
  }
  const bootId = (guest: Shell) => runChecked(guest, ['cat', '/proc/sys/kernel/random/boot_id'])

  before(async () => {
    folder = await mkdtemp(join(tmpdir(), 'vmr-contract-'))
    // QEMU, another user, reads disks in it.
    await chmod(folder, 0o755)
    stateBefore = process.env.VMR_STATE_DIR
    process.env.VMR_STATE_DIR = join(folder, 'state')
  })
  after(async () => {
    const quietly = (...words: readonly string[]) => execa(process.execPath, [cli, ...words], { reject: false })
    await quietly('vm', 'delete', router, '--yes')
    await quietly('image', 'delete', image, '--yes')
    await quietly('cleanup')
    await quietly('lab', 'down')
    if (stateBefore === undefined) delete process.env.VMR_STATE_DIR
    else process.env.VMR_STATE_DIR = stateBefore
    await rm(folder, { recursive: true, force: true })
  })

  it('makes an image of it', async () => {
    const file = given === undefined ? await makeFakeInstaller(folder) : resolve(given)
    const disk = given === undefined ? ['--disk-size', '2 GiB', '--accel', 'tcg'] : []
    const kept = await json('image', 'import', file, '--name', image, ...disk)
    if (file.endsWith('.iso')) assert.match(kept.release, /^VyOS /)
    assert.match(await vmr('image', 'verify', image), /is intact/)
  })

  it('makes a VM of the image, which comes to its prompt', async () => {
    const definition = join(folder, 'small.yaml')
    await writeFile(definition, `os: vyos\nmemory: 384 MiB\nnics: [{}, {}]\nimage: ${image}\n`)
    const what = given === undefined ? ['--domain', definition, '--accel', 'tcg'] : ['--image', image]
    await vmr('vm', 'create', router, ...what, '--nic', 'bridge', '--no-addresses')
    assert.equal((await json('vm', 'wait', router)).state, 'console')
    assert.match((await json('guest', 'show', router)).version, /^VyOS 1\.[2-5]|^VyOS \d{4}\./)
  })

  it('configures every case of the talk, so that the kernel has it, and takes exactly that back', async () => {
    const links = caseLinks(await loadTestbed('lab'), [
      { name: 'eth0', mac: '52:54:00:00:00:01' },
      { name: 'eth1', mac: '52:54:00:00:00:02' },
    ])
    await inGuest(async (guest) => {
      const before = lines(await readConfiguration(guest))
      const kernelBefore = linksOf(await vyosOs.observe(guest))
      for (const { name, setup } of Object.values(benchCases)) {
        const config = networkConfigSchema.parse(setup(links).configs.dut)
        await vyosOs.configure(guest, config)
        assert.deepEqual(await planVyos(shellAccess(guest), config), [], name)
        await waitUntilAllUsable(vyosOs, guest, usable(config), { timeoutMs: 60_000 })
        assert.deepEqual(missingIn(await vyosOs.observe(guest), config), [], name)
        await vyosOs.unconfigure(guest, config)
        assert.deepEqual(lines(await readConfiguration(guest)), before, name)
        assert.deepEqual(linksOf(await vyosOs.observe(guest)), kernelBefore, name)
      }
    })
  })

  it('commits nothing of what it refuses, in its words, and takes back what a failed commit left', async () => {
    await inGuest(async (guest) => {
      const before = await readConfiguration(guest)
      const good = set('interfaces ethernet eth0 vif 10 address 10.10.10.1/24')
      const refusal = async (...commands: readonly VyosChange[]) => {
        const error: unknown = await changeConfiguration(guest, before, commands).then(
          () => undefined,
          (reason: unknown) => reason,
        )
        assert.ok(isVmrError(error) && error.code === 'GUEST_CONFIG_REFUSED', String(error))
        assert.deepEqual(lines(await readConfiguration(guest)), lines(before))
        return error.message
      }
      assert.match(
        await refusal(good, set('interfaces ethernet eth0 adress 10.0.0.1/24')),
        /eth0 adress .*is not valid/s,
      )
      const addresses = Array.from({ length: 8 }, (_, index) =>
        set(`interfaces ethernet eth1 address 10.9.${index}.1/24`),
      )
      const bad = set('interfaces ethernet eth1 address 10.9.300.1/24')
      assert.match(await refusal(...addresses, bad), /10\.9\.300\.1/)
      assert.match(
        await refusal(good, set('interfaces tunnel tun1 encapsulation ipip6')),
        /tun1[\s\S]*as it was before/,
      )
      const foreign = networkConfigSchema.parse({ ethernets: { eth7: { addresses: ['10.0.0.1/24'] } } })
      await assert.rejects(vyosOs.configure(guest, foreign), {
        code: 'GUEST_CONFIG_REFUSED',
        message: /no interface eth7/,
      })
    })
  })

  it('sets 40 nodes together', async () => {
    await inGuest(async (guest) => {
      const before = await readConfiguration(guest)
      const addresses = Array.from({ length: 40 }, (_, index) =>
        set(`interfaces ethernet eth1 address 10.40.${index}.1/24`),
      )
      await changeConfiguration(guest, before, addresses)
      const after = await readConfiguration(guest)
      assert.deepEqual(lines(after), lines([...before, ...addresses.map(({ path }) => path)].filter(isLeaf)))
      await changeConfiguration(guest, after, [
        { kind: 'delete', path: ['interfaces', 'ethernet', 'eth1', 'address'], single: false, objects: [] },
      ])
    })
  })

  it('answers by SSH with the host key that was read over its console', async () => {
    const net = join(folder, 'net.json')
    const { links } = await loadTestbed('lab')
    const ethernets = links.map(({ dut }, index) => [`eth${index}`, { addresses: [...dut.addresses] }])
    await writeFile(net, JSON.stringify({ ethernets: Object.fromEntries(ethernets) }))
    await vmr('guest', 'apply', router, '--file', net)
    await inGuest(async (guest) => {
      await changeConfiguration(guest, await readConfiguration(guest), [set('service ssh port 22')])
    })
    await vmr('vm', 'trust', router)
    await vmr('vm', 'wait', router, '--for', 'ssh')
    assert.match(await vmr('vm', 'ssh', router, '--', 'show', 'version'), /VyOS/)
    assert.equal(await vmr('guest', 'plan', router, '--file', net, '--via', 'ssh'), `${router} is so already`)
  })

  it('keeps its network and its prompt over a switch of its NICs', async () => {
    const net = join(folder, 'net.json')
    const before = await inGuest(bootId)
    for (const mode of ['macvtap-trust', 'bridge']) {
      await vmr('vm', 'switch', router, '--nic', mode)
      assert.equal(await vmr('guest', 'plan', router, '--file', net), `${router} is so already`)
    }
    await inGuest(async (guest) => {
      assert.equal(await bootId(guest), before)
      // A later commit goes through.
      await changeConfiguration(guest, await readConfiguration(guest), [set('system host-name switched')])
    })
  })

  it('takes back what vmr set, and goes without a trace', async () => {
    const net = join(folder, 'net.json')
    await vmr('guest', 'reset', router)
    const { commands } = await json('guest', 'plan', router, '--file', net)
    assert.ok(commands.length > 0)
    await vmr('vm', 'delete', router, '--yes')
    await vmr('image', 'delete', image, '--yes')
    const { stdout: domains } = await execa('virsh', ['--quiet', '--connect', uri, 'list', '--all', '--name'])
    assert.doesNotMatch(domains, new RegExp(router))
    assert.deepEqual(await readdir(imagesDirectory()), [])
  })
})

/** Every path that is no beginning of another. */
function isLeaf(path: VyosPath, _index: number, all: readonly VyosPath[]): boolean {
  return !all.some((other) => other.length > path.length && path.every((word, at) => other[at] === word))
}

/** A module of the kernel brings it when it is loaded, and keeps it. */
const ofModule = /^(ip6tnl|tunl|sit|gre|gretap|erspan|ip6gre)0$/

/** What is configured of each interface, by name; without what comes and goes with the carrier. */
function linksOf({ interfaces }: NetworkObservation) {
  const links = interfaces.filter(({ name }) => !ofModule.test(name))
  return Object.fromEntries(
    links.map(({ name, mtu, master, addresses }) => [
      name,
      {
        mtu,
        master,
        addresses: addresses
          .filter(({ scope }) => scope === 'global')
          .map(({ address }) => address)
          .toSorted(),
      },
    ]),
  )
}

function usable(config: NetworkConfig): readonly (readonly [string, readonly string[]])[] {
  const members = new Set(Object.values(config.bridges).flatMap(({ members: names }) => names))
  return Object.entries(config.ethernets)
    .filter(([name, { addresses }]) => addresses.length > 0 && !members.has(name))
    .map(([name, { addresses }]) => [name, addresses] as const)
}

/** What the kernel lacks of the config, in words. */
function missingIn(observation: NetworkObservation, config: NetworkConfig): readonly string[] {
  const there = linksOf(observation)
  const wanted = [
    ...Object.entries(config.ethernets),
    ...Object.entries(config.ethernets).flatMap(([name, { vlans }]) =>
      Object.entries(vlans).map(([id, vlan]) => [`${name}.${id}`, vlan] as const),
    ),
    ...Object.entries(config.bridges),
    ...Object.entries(config.tunnels),
  ]
  const links = wanted.flatMap(([name, { addresses, mtu }]) => {
    const link = there[name]
    if (link === undefined) return [name]
    return [
      ...(mtu !== undefined && link.mtu !== mtu ? [`${name} mtu ${mtu}`] : []),
      ...addresses
        .filter((address) => !link.addresses.includes(address.split('/')[0] ?? ''))
        .map((each) => `${name} ${each}`),
    ]
  })
  const ports = Object.entries(config.bridges).flatMap(([name, { members }]) =>
    members.filter((member) => there[member]?.master !== name).map((member) => `${member} in ${name}`),
  )
  return [...links, ...ports]
}
