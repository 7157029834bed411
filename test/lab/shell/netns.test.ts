import assert from 'node:assert/strict'
import { VmrError } from '../../../src/errors/vmr-error.ts'
import { localShell } from '../../../src/shell/local.ts'
import { netnsShell } from '../../../src/shell/netns.ts'
import { runChecked } from '../../../src/shell/shell.ts'

const name = 'vmrt-shell'

describe('the shell of a network namespace', () => {
  const shell = netnsShell(name)
  const hasCode = (code: string, pattern: RegExp) => (error: unknown) => {
    assert.ok(error instanceof VmrError, String(error))
    assert.equal(error.code, code)
    assert.match(error.message, pattern)
    return true
  }

  beforeEach(() => runChecked(localShell, ['ip', 'netns', 'add', name]))
  afterEach(() => localShell.run(['ip', 'netns', 'delete', name]))

  it('sees the links of the namespace only', async () => {
    const { stdout } = await shell.run(['ip', '-json', 'link', 'show'])
    assert.deepEqual(
      JSON.parse(stdout).map(({ ifname }: { ifname: string }) => ifname),
      ['lo'],
    )
    assert.deepEqual((await shell.run(['ls', '/sys/class/net'])).stdout, 'lo\n')
  })

  it('gives words, input and exit status as the local shell does', async () => {
    const result = await shell.run(['sh', '-c', 'cat; echo "$1" >&2; exit 255', 'sh', '$(id) *'], { stdin: 'in' })
    assert.deepEqual([result.stdout, result.stderr, result.exitCode], ['in', '$(id) *\n', 255])
  })

  it('names a program that is missing', async () => {
    await assert.rejects(shell.run(['no-such-program']), hasCode('HOST_TOOL_MISSING', /no-such-program/))
    await assert.rejects(shell.start(['no-such-program']), hasCode('HOST_TOOL_MISSING', /no-such-program/))
  })

  it('says that the namespace does not exist, also when it is not the first time', async () => {
    await shell.run(['true'])
    await runChecked(localShell, ['ip', 'netns', 'delete', name])
    await assert.rejects(shell.run(['true']), hasCode('LAB_NOT_UP', /vmrt-shell does not exist/))
    await assert.rejects(shell.start(['true']), hasCode('LAB_NOT_UP', /vmrt-shell does not exist/))
  })

  it('says that only root may enter', async () => {
    const program = `
      import { netnsShell } from './src/shell/netns.ts'
      process.chdir('/'); process.setgid(65534); process.setuid(65534)
      await netnsShell(${JSON.stringify(name)}).run(['true']).catch((error) => console.log(error.code, error.message))`
    const { stdout } = await localShell.run([
      ...[process.execPath, '--import', 'tsx', '--input-type=module', '-e', program],
    ])
    assert.match(stdout, /^HOST_PERMISSION network namespace vmrt-shell may not be entered/)
  })
})
