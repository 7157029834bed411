import assert from 'node:assert/strict'
import { inOneTrip } from '../../src/ipv6/one-trip.ts'
import { localShell } from '../../src/shell/local.ts'
import type { Shell } from '../../src/shell/shell.ts'

/** The real one, and how often it was asked. */
function counting(): { readonly shell: Shell; readonly trips: () => number } {
  let trips = 0
  const shell: Shell = {
    ...localShell,
    run: (argv, options) => {
      trips += 1
      return localShell.run(argv, options)
    },
  }
  return { shell, trips: () => trips }
}

describe('several commands in one round trip', () => {
  it('run in order, each with its own outputs and exit status', async () => {
    const { shell, trips } = counting()
    const results = await inOneTrip(shell, (once) =>
      Promise.all([
        once.run(['printf', 'one\ntwo']),
        once.run(['sh', '-c', 'echo out; echo err >&2; exit 3']),
        once.run(['printf', '%s|', '', 'a  b', '$HOME "*" \\n']),
        once.run(['true']),
      ]),
    )
    assert.deepEqual(
      results.map(({ stdout, stderr, exitCode }) => [stdout, stderr, exitCode]),
      [
        ['one\ntwo', '', 0],
        ['out\n', 'err\n', 3],
        ['|a  b|$HOME "*" \\n|', '', 0],
        ['', '', 0],
      ],
    )
    assert.equal(trips(), 1)
  })

  it('are followed by what the task asks for after the first answers', async () => {
    const { shell, trips } = counting()
    const second = await inOneTrip(shell, async (once) => {
      const { stdout } = await once.run(['echo', 'first'])
      return once.run(['echo', stdout.trim(), 'second'])
    })
    assert.equal(second.stdout, 'first second\n')
    assert.equal(trips(), 2)
  })

  it('all fail where the trip fails', async () => {
    const late = inOneTrip(
      localShell,
      (once) => Promise.allSettled([once.run(['sleep', '5']), once.run(['echo', 'never'])]),
      { timeoutMs: 100 },
    )
    assert.deepEqual(
      (await late).map((each) => each.status === 'rejected' && each.reason.code),
      ['TIMED_OUT', 'TIMED_OUT'],
    )
  })
})
