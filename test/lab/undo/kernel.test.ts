import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import fc from 'fast-check'
import { VmrError } from '../../../src/errors/vmr-error.ts'
import { readLinks } from '../../../src/os/linux/ip-json.ts'
import { localShell } from '../../../src/shell/local.ts'
import { netnsShell } from '../../../src/shell/netns.ts'
import { runChecked } from '../../../src/shell/shell.ts'
import { cleanUp } from '../../../src/undo/clean-up.ts'
import { hostExecutors } from '../../../src/undo/host-executors.ts'
import { openJournal, reopenJournal } from '../../../src/undo/journal.ts'
import type { UndoStep } from '../../../src/undo/steps.ts'
import { undoAll } from '../../../src/undo/undo-all.ts'

const base = 'vmrt-undo0'

describe('the undo of kernel objects', function () {
  this.timeout(30_000)
  let directory: string

  before(async () => {
    directory = await mkdtemp(join(tmpdir(), 'vmr-undo-'))
  })
  after(() => rm(directory, { recursive: true }))
  beforeEach(() => runChecked(localShell, ['ip', 'link', 'add', base, 'type', 'veth', 'peer', 'name', 'vmrt-undo1']))
  afterEach(() => runChecked(localShell, ['ip', 'link', 'delete', base]))

  const state = async () => {
    const links = await readLinks(localShell)
    const { stdout: namespaces } = await localShell.run(['ip', 'netns', 'list'])
    const { stdout: ipv6 } = await localShell.run(['sysctl', '-n', `net/ipv6/conf/${base}/disable_ipv6`])
    return {
      links: links.map(({ ifname, mtu, master, flags }) => [ifname, mtu, master, flags.includes('UP')]),
      namespaces,
      ipv6,
    }
  }

  const changes: readonly { readonly step: UndoStep; readonly argv: readonly string[] }[] = [
    { step: { kind: 'netns', name: 'vmrt-undo' }, argv: ['ip', 'netns', 'add', 'vmrt-undo'] },
    {
      step: { kind: 'link', name: 'vmrt-undo2', linkKind: 'bridge' },
      argv: ['ip', 'link', 'add', 'vmrt-undo2', 'type', 'bridge'],
    },
    {
      step: { kind: 'sysctl', key: `net/ipv6/conf/${base}/disable_ipv6`, value: '0' },
      argv: ['sysctl', '-q', '-w', `net/ipv6/conf/${base}/disable_ipv6=1`],
    },
    {
      step: { kind: 'link-settings', name: base, up: false, mtu: 1500 },
      argv: ['ip', 'link', 'set', 'dev', base, 'mtu', '1400', 'up'],
    },
    {
      step: { kind: 'uplink-bridge', bridge: 'vmrt-undo2', uplink: base },
      argv: ['ip', 'link', 'set', 'dev', base, 'master', 'vmrt-undo2'],
    },
    {
      step: { kind: 'link', name: 'vmrt-undo4', linkKind: 'macvtap' },
      argv: ['ip', 'link', 'add', 'link', 'vmrt-undo1', 'name', 'vmrt-undo4', 'type', 'macvtap'],
    },
  ]

  it('restores the host after any prefix of any order of changes, the last one made or not', async () => {
    const before = await state()
    await fc.assert(
      fc.asyncProperty(fc.shuffledSubarray([...changes]), fc.boolean(), async (order, lastOneRan) => {
        const journal = await openJournal({ directory, purpose: 'a test' })
        for (const [index, { step, argv }] of order.entries()) {
          await journal.before(step)
          // A change that the kernel refuses here, as a port of a bridge that is not there, is one that never ran.
          if (index < order.length - 1 || lastOneRan) await localShell.run(argv)
        }
        await journal.close()
        if (order.length > 0) {
          const again = await reopenJournal(journal.path)
          await undoAll(again, { executors: hostExecutors })
          await again.close()
        }
        assert.deepEqual(await state(), before)
      }),
      { numRuns: 12 },
    )
  })

  it('ends what runs in a namespace before it removes it', async () => {
    await runChecked(localShell, ['ip', 'netns', 'add', 'vmrt-undo'])
    const command = await netnsShell('vmrt-undo').start(['sleep', '60'])
    const journal = await openJournal({ directory, purpose: 'a test' })
    await journal.before({ kind: 'netns', name: 'vmrt-undo' })
    await undoAll(journal, { executors: hostExecutors })
    await journal.close()
    assert.equal((await command.ended).exitCode, 143)
    assert.doesNotMatch((await localShell.run(['ip', 'netns', 'list'])).stdout, /vmrt-undo/)
  })

  it('ends what a killed vmr ran in a namespace that stays', async () => {
    await runChecked(localShell, ['ip', 'netns', 'add', 'vmrt-undo'])
    try {
      const program = `
        import { netnsShell } from './src/shell/netns.ts'
        import { openJournal } from './src/undo/journal.ts'
        import { journaledShell } from './src/undo/journaled-shell.ts'
        const journal = await openJournal({ directory: ${JSON.stringify(directory)}, purpose: 'a run' })
        const server = await journaledShell(netnsShell('vmrt-undo'), journal).start(['iperf3', '-s', '--forceflush'])
        for await (const line of server.lines) console.log(line)`
      const child = spawn(process.execPath, ['--import', 'tsx', '--input-type=module', '-e', program], {
        stdio: ['ignore', 'pipe', 'inherit'],
      })
      await once(createInterface(child.stdout), 'line')
      child.kill('SIGKILL')
      await once(child, 'exit')
      const inside = () => runChecked(localShell, ['ip', 'netns', 'pids', 'vmrt-undo'])
      assert.notEqual(await inside(), '')
      await cleanUp({ directory, executors: hostExecutors })
      assert.equal(await inside(), '')
    } finally {
      await runChecked(localShell, ['ip', 'netns', 'delete', 'vmrt-undo'])
    }
  })

  it('refuses the next change when the disk is full, and still takes back what was made', async () => {
    const small = join(directory, 'small')
    await runChecked(localShell, ['mkdir', small])
    await runChecked(localShell, ['mount', '-t', 'tmpfs', '-o', 'size=64k', 'tmpfs', small])
    try {
      const journal = await openJournal({ directory: small, purpose: 'a test' })
      const outcomes: string[] = []
      try {
        await journal.before({ kind: 'link', name: 'vmrt-undo2', linkKind: 'bridge' })
        await runChecked(localShell, ['ip', 'link', 'add', 'vmrt-undo2', 'type', 'bridge'])
        await localShell.run(['dd', 'if=/dev/zero', `of=${small}/fill`, 'bs=4k'])
        await assert.rejects(
          async () => {
            for (;;) await journal.before({ kind: 'file', path: `/tmp/vmrt-none${`/${'x'.repeat(200)}`.repeat(4)}` })
          },
          (error: unknown) => error instanceof VmrError && error.code === 'HOST_DISK_FULL',
        )
        await undoAll(journal, { executors: hostExecutors, onStep: ({ outcome }) => outcomes.push(outcome) })
      } finally {
        await journal.close()
      }
      assert.equal(outcomes.at(-1), 'undone')
      assert.equal((await readLinks(localShell, { name: 'vmrt-undo2' })).length, 0)
      assert.equal((await localShell.run(['ls', small])).stdout, 'fill\n')
    } finally {
      await runChecked(localShell, ['umount', small])
    }
  })
})
