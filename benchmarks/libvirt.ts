/**
 * Measures the libvirt bindings against a running libvirtd, and virsh beside them:
 *
 *   node --import tsx benchmarks/libvirt.ts
 *
 * Prints one line a figure, and exits with 1 when one exceeds its budget. Defines one domain and removes it again.
 */
import { execFile } from 'node:child_process'
import { randomUUID } from 'node:crypto'
import { promisify } from 'node:util'
import { type Connection, connect, type Domain } from '../src/libvirt/index.ts'

const run = promisify(execFile)
const warmUpCalls = 2000

async function timed(action: () => Promise<unknown>): Promise<number> {
  const start = performance.now()
  await action()
  return performance.now() - start
}

/** Times an action again and again; ascending, in ms. */
async function timedOften(rounds: number, action: () => Promise<unknown>): Promise<readonly number[]> {
  const times: number[] = []
  for (let round = 0; round < rounds; round++) times.push(await timed(action))
  return times.sort((a, b) => a - b)
}

function quantile(ascending: readonly number[], share: number): number {
  return ascending[Math.min(ascending.length - 1, Math.floor(ascending.length * share))] ?? Number.NaN
}

const budgets: { readonly what: string; readonly value: number; readonly limit: number; readonly unit: string }[] = []

function report(what: string, value: number, unit: string, limit?: number, note = ''): void {
  const budget = limit === undefined ? '' : `  (budget ${limit} ${unit})`
  process.stdout.write(`${what.padEnd(46)} ${value.toFixed(3).padStart(9)} ${unit}${budget}${note}\n`)
  if (limit !== undefined) budgets.push({ what, value, limit, unit })
}

/**
 * Growth of this process over mixed calls, in MB. Not collected by force: that shrinks V8's young generation, whose
 * growing again would then be taken for the calls'.
 */
async function growthOf(calls: number, connection: Connection, domain: Domain): Promise<number> {
  const before = process.memoryUsage.rss()
  for (let call = 0; call < calls; call += 4) {
    await Promise.all([connection.domainXml(domain), connection.domainState(domain)])
    await connection.listAllDomains()
    await connection.lookupDomainByName('no-such-domain').catch(() => {})
  }
  return (process.memoryUsage.rss() - before) / 1e6
}

async function measure(connection: Connection, domain: Domain): Promise<void> {
  // The first calls grow any Node process: V8 compiles them and sizes its heap.
  report(`growth of RSS, first ${warmUpCalls} calls`, await growthOf(warmUpCalls, connection, domain), 'MB')
  report('growth of RSS, next 10,000 calls', await growthOf(10_000, connection, domain), 'MB', 5)

  const call = await timedOften(5000, () => connection.domainState(domain))
  report('one call (domainState), median', quantile(call, 0.5), 'ms', 0.3)
  report('one call (domainState), 95 %', quantile(call, 0.95), 'ms')

  const xml = await timedOften(1000, () => connection.domainXml(domain))
  report('one call (domainXml), median', quantile(xml, 0.5), 'ms', 0.3)

  const parallel = await timedOften(40, () =>
    Promise.all(Array.from({ length: 50 }, () => connection.domainXml(domain))),
  )
  report('50 domainXml in parallel, median', quantile(parallel, 0.5), 'ms', 15)
  report('50 domainXml in parallel, slowest of 40', quantile(parallel, 1), 'ms')

  const opening = await timedOften(30, async () => (await connect('qemu:///system')).close())
  report('connect and close, median', quantile(opening, 0.5), 'ms')

  const virsh = await timedOften(15, () => run('virsh', ['-c', 'qemu:///system', 'dumpxml', domain.name]))
  const virshMedian = quantile(virsh, 0.5)
  report('virsh dumpxml, one process, median', virshMedian, 'ms')
  report('virsh dumpxml / domainXml', virshMedian / quantile(xml, 0.5), 'x')
  const virshParallel = await timed(() =>
    Promise.all(Array.from({ length: 50 }, () => run('virsh', ['-c', 'qemu:///system', 'dumpxml', domain.name]))),
  )
  report('50 virsh dumpxml in parallel', virshParallel, 'ms')
  report('50 virsh / 50 domainXml in parallel', virshParallel / quantile(parallel, 0.5), 'x')
}

const connection = await connect('qemu:///system')
try {
  const name = `vmr-benchmark-${randomUUID().slice(0, 8)}`
  const domain = await connection.defineDomain(
    `<domain type='qemu'><name>${name}</name><memory unit='MiB'>64</memory>
     <os><type arch='x86_64'>hvm</type></os><devices><serial type='pty'/></devices></domain>`,
  )
  try {
    await measure(connection, domain)
  } finally {
    await connection.undefineDomain(domain)
  }
} finally {
  await connection.close()
}
for (const { what, value, limit, unit } of budgets.filter((each) => each.value > each.limit)) {
  process.stdout.write(`over budget: ${what}: ${value.toFixed(3)} > ${limit} ${unit}\n`)
  process.exitCode = 1
}
