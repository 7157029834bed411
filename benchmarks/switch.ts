/**
 * Measures for how long a running VM is unreachable while one NIC's interface mode is changed: by `vmr`, by the same steps
 * with `virsh` by hand, and by ending the VM and starting it anew. Everything in one run, on a lab of its own:
 *
 *   sudo node --import tsx benchmarks/switch.ts
 *
 * Prints a table in Markdown. A PC pings the VM every 20 ms over each family; the blackout is the longest time between two
 * answers. Exits with 1 when vmr's medians exceed their budgets.
 */
import { setTimeout as delay } from 'node:timers/promises'
import { findNicMode } from '../src/domain/nic-modes.ts'
import { buildXml } from '../src/domain/xml/build.ts'
import { interfaceKeeper } from '../src/os/vyos/keep-interface.ts'
import { vyosOs } from '../src/os/vyos/vyos-os.ts'
import { waitUntilUsable } from '../src/os/wait-until-usable.ts'
import { localShell } from '../src/shell/local.ts'
import { runChecked } from '../src/shell/shell.ts'
import { prepareSwitch, switchRunning } from '../src/vm/switch/switch-vm.ts'
import { makeRunningVm } from '../test/lab/vm/running-vm.ts'

const rounds = 5
const intervalMs = 20
const { signal } = new AbortController()
type Family = 'ipv4' | 'ipv6'
/** Seconds. */
const budgets: Readonly<Record<string, Readonly<Record<Family, number>>>> = {
  'detach and attach': { ipv4: 0.6, ipv6: 0.8 },
  'in place': { ipv4: 0.15, ipv6: 0.15 },
}

const vm = await makeRunningVm({ name: 'vmrt-bench', mode: 'bridge' })
const { pc, link } = firstLink()
const { uplink, bridge } = link
const addressOf = { ipv4: '192.168.1.1', ipv6: '2001:db8:dead:beaf::1' } as const
const otherBridge = 'vmrt-br9'
const ip = (...words: readonly string[]) => runChecked(localShell, ['ip', ...words])
const virsh = (...words: readonly string[]) => runChecked(localShell, ['virsh', '-q', ...words], { timeoutMs: 60_000 })
const ready = () => waitUntilUsable(vyosOs, vm.guest, 'eth0', link.dut.addresses, { timeoutMs: 30_000 })

function firstLink() {
  const [[link], [pc]] = [vm.testbed.links, vm.pcs]
  if (link === undefined || pc === undefined) throw new RangeError('the lab has no link')
  return { link, pc }
}

/** The longest time between two answers while the task runs, by family, in seconds. */
async function blackout(task: () => Promise<unknown>): Promise<Readonly<Record<Family, number>>> {
  const start = (family: Family) =>
    pc.shell.start(['ping', '-n', '-D', '-i', String(intervalMs / 1000), addressOf[family]])
  const pings = { ipv4: await start('ipv4'), ipv6: await start('ipv6') }
  const longest = async (family: Family) => {
    const { stdout } = await pings[family].stop()
    const times = [...stdout.matchAll(/^\[(\d+\.\d+)\] \d+ bytes from/gm)].map((match) => Number(match[1]))
    const gaps = times.slice(1).map((time, index) => time - (times[index] ?? time))
    // An answer must have come at the end, too.
    const silence = Date.now() / 1000 - (times.at(-1) ?? 0)
    return Math.max(...gaps, silence > 1 ? Number.POSITIVE_INFINITY : 0)
  }
  await delay(500)
  await task()
  await answers()
  await delay(500)
  return { ipv4: await longest('ipv4'), ipv6: await longest('ipv6') }
}

/** Until both families answer again. */
async function answers(): Promise<void> {
  for (const family of ['ipv4', 'ipv6'] as const)
    await runChecked(pc.shell, ['ping', '-n', '-c', '1', '-i', '0.2', '-w', '30', addressOf[family]], {
      timeoutMs: 40_000,
    })
}

const keeper = interfaceKeeper(vm.guest)
async function byVmr(mode: string, source?: string): Promise<void> {
  const found = await vm.find()
  const wanted = { modes: vm.modes, to: findNicMode(vm.modes, mode), links: vm.testbed.links, only: ['eth0'], source }
  const plan = await prepareSwitch(vm.connection, found, wanted, { signal })
  await switchRunning(vm.connection, found, plan, { guest: vm.guest, keeper, signal })
}

/** The elements that vmr itself attaches, so that only the way differs. */
async function elementOf(mode: string): Promise<string> {
  const found = await vm.find()
  const plan = await prepareSwitch(
    vm.connection,
    found,
    { modes: vm.modes, to: findNicMode(vm.modes, mode), links: vm.testbed.links, only: ['eth0'] },
    { signal },
  )
  const [nic] = plan.nics
  if (nic === undefined) throw new RangeError('there is no eth0')
  return buildXml(nic.defined.element)
}

/** The fewest commands that do it: one for each step, the addresses set by one command on the console. */
async function byVirsh(mode: string): Promise<void> {
  const { domain, facts, metadata } = await vm.find()
  const nic = facts.nics.find(({ mac }) => mac === metadata.nics[0]?.mac)
  const mac = nic?.mac ?? ''
  const file = `/tmp/vmrt-bench-${process.pid}.xml`
  await localShell.writeFile(file, await elementOf(mode))
  const type = (await localShell.run(['grep', '-c', 'type=\'direct\'\\|type="direct"', file])).stdout.trim()
  await virsh('detach-interface', domain.name, nic?.type ?? '', '--mac', mac, '--live', '--config')
  while ((await virsh('domiflist', domain.name)).includes(mac)) await delay(10)
  if (type === '1') await ip('link', 'delete', 'dev', bridge)
  else {
    const settings = ['type', 'bridge', 'stp_state', '0', 'mcast_snooping', '0']
    await ip('link', 'add', 'name', bridge, ...settings)
    await ip('link', 'set', 'dev', uplink, 'master', bridge)
    await ip('link', 'set', 'dev', bridge, 'up')
  }
  await virsh('attach-device', domain.name, file, '--live', '--config')
  const set = link.dut.addresses.map((address) => `ip address add ${address} dev eth0`).join('; ')
  await runChecked(vm.guest, ['sudo', 'bash', '-c', `ip link set eth0 up; ${set}`])
  await runChecked(localShell, ['rm', '-f', file])
}

async function byRestart(): Promise<void> {
  const { domain } = await vm.find()
  await vm.connection.destroyDomain(domain)
  await vm.reopen()
}

const median = (values: readonly number[]) =>
  values.toSorted((a, b) => a - b)[Math.floor(values.length / 2)] ?? Number.NaN
const shown = (values: readonly number[]) =>
  `${median(values).toFixed(2)} (${Math.min(...values).toFixed(2)}–${Math.max(...values).toFixed(2)})`

interface Row {
  readonly way: string
  readonly what: string
  readonly budget?: Readonly<Record<Family, number>> | undefined
  readonly there: () => Promise<unknown>
  /** Measured as well, since it is a switch too. */
  readonly back: () => Promise<unknown>
}

const detachAttach = budgets['detach and attach']
const rows: readonly Row[] = [
  {
    way: 'vmr vm switch',
    what: 'bridge, macvtap-trust',
    budget: detachAttach,
    there: () => byVmr('macvtap-trust'),
    back: () => byVmr('bridge'),
  },
  {
    way: 'vmr vm switch, in place',
    what: 'bridge, another bridge',
    budget: budgets['in place'],
    there: () => byVmr('bridge', otherBridge),
    back: () => byVmr('bridge', bridge),
  },
  {
    way: 'virsh by hand',
    what: 'bridge, macvtap-trust',
    there: () => byVirsh('macvtap-trust'),
    back: () => byVirsh('bridge'),
  },
]

async function measure({ way, what, budget, there, back }: Row): Promise<boolean> {
  const samples: Record<Family, number[]> = { ipv4: [], ipv6: [] }
  for (let round = 0; round < rounds; round++) {
    await ready()
    await answers()
    const { ipv4, ipv6 } = await blackout(round % 2 === 0 ? there : back)
    samples.ipv4.push(ipv4)
    samples.ipv6.push(ipv6)
  }
  if (rounds % 2 === 1) await back()
  const over = budget !== undefined && (median(samples.ipv4) > budget.ipv4 || median(samples.ipv6) > budget.ipv6)
  const limit = budget === undefined ? '' : `${budget.ipv4} / ${budget.ipv6}`
  process.stdout.write(`| ${way} | ${what} | ${shown(samples.ipv4)} | ${shown(samples.ipv6)} | ${limit} |\n`)
  return over
}

let over = false
try {
  await ip('link', 'add', 'name', otherBridge, 'type', 'bridge', 'stp_state', '0', 'mcast_snooping', '0')
  await ip('link', 'set', 'dev', otherBridge, 'up')
  // The PC is behind both bridges, so the path is there before the NIC moves and after it.
  const ends = ['vmrt-x0', 'vmrt-x1'] as const
  await ip('link', 'add', 'name', ends[0], 'master', otherBridge, 'type', 'veth', 'peer', 'name', ends[1])
  for (const end of ends) await ip('link', 'set', 'dev', end, 'up')
  process.stdout.write('| way | between | IPv4 s | IPv6 s | budget |\n| --- | --- | --- | --- | --- |\n')
  for (const row of rows) {
    if (row.way.endsWith('in place')) await ip('link', 'set', 'dev', ends[1], 'master', bridge)
    over = (await measure(row)) || over
    if (row.way.endsWith('in place')) await ip('link', 'delete', 'dev', ends[0])
  }
  await measure({ way: 'destroy and start', what: 'bridge', there: byRestart, back: byRestart })
} finally {
  await localShell.run(['ip', 'link', 'delete', 'dev', otherBridge])
  await vm.remove()
}
if (over) {
  process.stdout.write('over budget\n')
  process.exitCode = 1
}
