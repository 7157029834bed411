import assert from 'node:assert/strict'
import { networkConfigSchema } from '../../../src/config/network-config.ts'
import { readDomainFacts } from '../../../src/domain/domain-facts.ts'
import { findNicMode } from '../../../src/domain/nic-modes.ts'
import { isAttachedAs } from '../../../src/domain/nic-switch.ts'
import { probeNic } from '../../../src/ipv6/nic-reachability.ts'
import type { InterfaceState } from '../../../src/os/linux/interface-state.ts'
import { type InterfaceKeeper, interfaceKeeper } from '../../../src/os/vyos/keep-interface.ts'
import { waitUntilUsable } from '../../../src/os/wait-until-usable.ts'
import { localShell } from '../../../src/shell/local.ts'
import { prepareSwitch, type SwitchedNic, switchRunning } from '../../../src/vm/switch/switch-vm.ts'
import { makeRunningVm, type RunningVm } from './running-vm.ts'

const networkName = 'vmrt-net'
const { signal } = new AbortController()

/** Every ordered pair of different items, each once, as one walk that ends where it began (Hierholzer's algorithm). */
function roundThroughAllPairs<T>(items: readonly T[]): readonly T[] {
  const left = new Map(items.map((from) => [from, items.filter((to) => to !== from)]))
  const path = items.slice(0, 1)
  const walk: T[] = []
  for (let at = path.at(-1); at !== undefined; at = path.at(-1)) {
    const next = left.get(at)?.pop()
    if (next !== undefined) path.push(next)
    else walk.push(...path.splice(-1))
  }
  return walk.reverse()
}

describe('switching a running VM from every mode to every other', function () {
  this.timeout(300_000)
  let vm: RunningVm
  let keeper: InterfaceKeeper
  let modes: readonly string[]
  let start: { readonly states: readonly InterfaceState[]; readonly slots: ReadonlyMap<string, string | undefined> }

  before(async () => {
    vm = await makeRunningVm({ name: 'vmrt-pairs', mode: 'bridge' })
    await vm.connection.createTransientNetwork(
      `<network><name>${networkName}</name><bridge name='vmrt-virbr'/></network>`,
    )
    for (const [index, { dut }] of vm.testbed.links.entries())
      await waitUntilUsable(vm.machine.os, vm.guest, `eth${index}`, dut.addresses)
    keeper = interfaceKeeper(vm.guest)
    start = { states: await readStates(), slots: await slots() }
    modes = await possibleModes()
  })
  after(async () => {
    if (vm === undefined) return
    const network = await vm.connection.lookupNetworkByName(networkName).catch(() => undefined)
    await vm.remove()
    if (network !== undefined) await localShell.run(['virsh', 'net-destroy', networkName])
  })

  /** Those whose programs are on this host. */
  async function possibleModes(): Promise<readonly string[]> {
    const has = async (...argv: readonly string[]) =>
      (await localShell.run(argv).catch(() => ({ exitCode: 1 }))).exitCode === 0
    const needs: Readonly<Record<string, Promise<boolean>>> = {
      ovs: has('ovs-vsctl', 'show'),
      passt: has('passt', '--version'),
    }
    const names = [...vm.modes.modes.keys()]
    const possible = await Promise.all(names.map(async (name) => (await needs[name]) ?? true))
    return names.filter((_name, index) => possible[index])
  }

  async function readStates(): Promise<readonly InterfaceState[]> {
    const kept = [await keeper.keep('eth0', { sameLink: true }), await keeper.keep('eth1', { sameLink: true })]
    return kept.map(({ state }) => comparable(state))
  }

  /** Without what is another device's number, and what duplicate address detection is still busy with. */
  function comparable(state: InterfaceState): InterfaceState {
    const links = state.links.map((link) => ({
      ...link,
      addresses: link.addresses
        .map((address) => ({ ...address, usable: true }))
        .sort((left, right) => (left.address < right.address ? -1 : 1)),
    }))
    return { ...state, index: 0, links }
  }

  async function slots(): Promise<ReadonlyMap<string, string | undefined>> {
    const { nics } = readDomainFacts(await vm.connection.domainXml((await vm.find()).domain))
    return new Map(nics.map(({ mac = '', pciAddress }) => [mac, pciAddress]))
  }

  async function switchTo(
    mode: string,
    only: readonly string[] | undefined,
    used: InterfaceKeeper = keeper,
  ): Promise<readonly SwitchedNic[]> {
    const found = await vm.find()
    const plan = await prepareSwitch(
      vm.connection,
      found,
      {
        modes: vm.modes,
        to: findNicMode(vm.modes, mode),
        links: vm.testbed.links,
        only,
        source: mode === 'network' ? networkName : undefined,
      },
      { signal },
    )
    const nics = await switchRunning(vm.connection, found, plan, { guest: vm.guest, keeper: used, signal })
    await assertAttached(mode, nics)
    return nics
  }

  /** What libvirt runs, what it has defined and what vmr notes are the same, and the slots are the old ones. */
  async function assertAttached(mode: string, nics: readonly SwitchedNic[]): Promise<void> {
    const { domain, facts, metadata } = await vm.find()
    const live = readDomainFacts(await vm.connection.domainXml(domain))
    for (const { name, mac, complaints } of nics) {
      const defined = facts.nics.find((nic) => nic.mac === mac)
      const running = live.nics.find((nic) => nic.mac === mac)
      assert.ok(defined !== undefined && running !== undefined, `${name} is there in ${mode}`)
      assert.ok(isAttachedAs(running.element, defined.element), `${name} runs in ${mode} as it is defined`)
      assert.deepEqual(complaints, [], `${name} in ${mode}`)
      assert.equal(metadata.nics.find((nic) => nic.mac === mac)?.mode, mode)
      assert.equal(live.vmr?.nics.find((nic) => nic.mac === mac)?.mode, mode)
    }
    assert.deepEqual(
      new Map(live.nics.map((nic) => [nic.mac ?? '', nic.pciAddress])),
      start.slots,
      `PCI slots in ${mode}`,
    )
    const element = findNicMode(vm.modes, mode).element
    assert.equal(live.nics.find((nic) => nic.mac === nics[0]?.mac)?.type, element.attributes.type)
  }

  it('works for all pairs, and the guest finds its interface each time as it was', async () => {
    const walk = roundThroughAllPairs(modes)
    assert.equal(walk.length, modes.length * (modes.length - 1) + 1)
    const checking: InterfaceKeeper = {
      ...keeper,
      keep: async (name, options) => {
        const kept = await keeper.keep(name, options)
        assert.deepEqual(comparable(kept.state), start.states[0])
        return kept
      },
    }
    await switchTo(walk[0] ?? '', ['eth0'])
    for (const mode of walk.slice(1)) {
      const [nic] = await switchTo(mode, ['eth0'], checking)
      assert.equal(nic?.how, 'detached and attached', `${nic?.from} to ${mode}`)
    }
    assert.deepEqual(await readStates(), start.states)
  })

  it('takes two NICs one after the other: eth0 stays eth0, and eth1 stays eth1', async () => {
    for (const mode of ['macvtap-trust', 'bridge']) {
      const nics = await switchTo(mode, undefined)
      assert.deepEqual(
        nics.map(({ name }) => name),
        ['eth0', 'eth1'],
      )
      assert.deepEqual(await readStates(), start.states)
    }
  })

  it('keeps VLANs, routes and MTU, which VyOS can still change afterwards', async () => {
    const config = networkConfigSchema.parse({
      ethernets: { eth1: { mtu: 1400, vlans: { 10: { addresses: ['192.168.10.1/24', '2001:db8:10::1/64'] } } } },
      routes: [
        { to: '10.9.0.0/16', via: '192.168.2.2' },
        { to: '2001:db8:99::/48', via: '2001:db8:dead:cafe::2' },
      ],
    })
    await vm.machine.os.configure(vm.guest, config)
    const [, before] = await readStates()
    assert.deepEqual([before?.links.length, before?.routes.length, before?.links[0]?.mtu], [2, 2, 1400])
    for (const mode of ['macvtap-trust', 'bridge']) {
      await switchTo(mode, ['eth1'])
      assert.deepEqual((await readStates())[1], before, mode)
    }
    await vm.machine.os.unconfigure(vm.guest, config)
    assert.deepEqual(await readStates(), start.states)
  })

  it('leaves a path that carries both families, and shows which mode does not', async () => {
    const [pc] = vm.pcs
    assert.ok(pc !== undefined)
    const lost = async () => {
      const findings = await probeNic({ guest: vm.machine, interfaceName: 'eth0', pc })
      assert.equal(findings.length, 4)
      return findings.flatMap(({ family, direction, reachable }) => (reachable ? [] : [`${family} ${direction}`]))
    }
    assert.deepEqual(await lost(), [])
    await switchTo('macvtap', ['eth0'])
    assert.deepEqual(await lost(), [`ipv6 ${pc.name}>${vm.name}`])
  })
})
