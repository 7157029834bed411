import assert from 'node:assert/strict'
import { readMachineState } from '../../src/ipv6/evidence/machine-state.ts'
import type { Shell } from '../../src/shell/shell.ts'

const link = {
  ifindex: 2,
  ifname: 'eth0',
  flags: ['UP'],
  mtu: 1500,
  operstate: 'UP',
  link_type: 'ether',
  addr_info: [],
}
const whole = `=-=vmr-section=-= address\n${JSON.stringify([link])}\n`
const cut = whole.replace('address\n', 'address\nDump was interrupted and may be inconsistent.\n')

/** A fake: the kernel interrupts a dump when it likes. */
function shellThatSays(answers: readonly string[]): { readonly shell: Shell; readonly asked: () => number } {
  let asked = 0
  const run: Shell['run'] = async () => {
    const stdout = answers[Math.min(asked, answers.length - 1)] ?? ''
    asked += 1
    return { stdout, stderr: '', exitCode: 0, durationMs: 1 }
  }
  const refuse = () => Promise.reject(new Error('not asked for'))
  return { shell: { description: 'r1', run, start: refuse, writeFile: refuse }, asked: () => asked }
}

describe('the state of a machine', () => {
  it('is read again when something changed while the kernel was telling it', async () => {
    const { shell, asked } = shellThatSays([cut, cut, whole])
    assert.deepEqual(
      (await readMachineState(shell)).links.map(({ name }) => name),
      ['eth0'],
    )
    assert.equal(asked(), 3)
  })

  it('is taken as it is told where that never ends', async () => {
    const { shell } = shellThatSays([cut])
    assert.deepEqual(
      (await readMachineState(shell)).links.map(({ name }) => name),
      ['eth0'],
    )
  })
})
