import assert from 'node:assert/strict'
import { gatherHostFacts, parseHostFacts } from '../../src/results/host-facts.ts'
import { hostFactsSchema } from '../../src/results/schema.ts'
import { localShell } from '../../src/shell/local.ts'

describe('host facts', () => {
  it('of this host fit the schema and name its kernel and tools', async () => {
    const facts = hostFactsSchema.parse(await gatherHostFacts(localShell))
    const { stdout } = await localShell.run(['uname', '-r'])
    assert.equal(facts.kernel, stdout.trim())
    assert.match(facts.versions.iproute2 ?? '', /^\d+\.\d+/)
  })

  it('leave out what a machine does not tell', () => {
    const facts = parseHostFacts('/proc/sys/kernel/osrelease:6.6.1\n/proc/cpuinfo:processor\t: 0\n', {})
    assert.deepEqual(hostFactsSchema.parse(facts), {
      hostName: 'unknown',
      kernel: '6.6.1',
      architecture: 'unknown',
      distribution: 'unknown',
      cpus: 1,
      memoryBytes: 1,
      tcpTimestamps: true,
      versions: {},
    })
  })

  it('tell TCP timestamps that are off, which make the wire limit larger', () => {
    assert.equal(parseHostFacts('/proc/sys/net/ipv4/tcp_timestamps:0\n', {}).tcpTimestamps, false)
  })
})
