import { execFile } from 'node:child_process'
import { promisify } from 'node:util'
import { connect } from '../src/libvirt/index.ts'

/** What one call costs over the local socket, what calls at once cost, and whether many calls leave memory behind. */
const uri = 'test:///default'
const calls = 10_000
const connection = await connect(uri)
const domain = await connection.lookupDomainByName('test')

const milliseconds: number[] = []
for (let index = 0; index < 500; index++) await connection.domainState(domain)
globalThis.gc?.()
const before = process.memoryUsage().rss
for (let index = 0; index < calls; index++) {
  const start = performance.now()
  await connection.domainState(domain)
  milliseconds.push(performance.now() - start)
}
globalThis.gc?.()
const grownMiB = (process.memoryUsage().rss - before) / 1024 / 1024
milliseconds.sort((left, right) => left - right)
const at = (share: number) => milliseconds[Math.floor(calls * share)]?.toFixed(3)

const rounds: number[] = []
for (let round = 0; round < 20; round++) {
  const start = performance.now()
  await Promise.all(Array.from({ length: 50 }, () => connection.domainXml(domain)))
  rounds.push(performance.now() - start)
}
rounds.sort((left, right) => left - right)

const virshStart = performance.now()
await promisify(execFile)('virsh', ['-c', uri, 'domstate', 'test'])
const virsh = performance.now() - virshStart
await connection.close()

process.stdout.write(
  [
    `one call, median of ${calls}:    ${at(0.5)} ms (99th percentile ${at(0.99)} ms)`,
    `50 XML at once, median of 20:  ${rounds[10]?.toFixed(1)} ms`,
    `RSS after ${calls} calls:         ${grownMiB.toFixed(1)} MiB more`,
    `one virsh for the same:        ${virsh.toFixed(1)} ms, ${(virsh / Number(at(0.5))).toFixed(0)} times a call`,
    '',
  ].join('\n'),
)
