import assert from 'node:assert/strict'
import { mkdtemp, readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import fc from 'fast-check'
import { isVmrError } from '../../../src/errors/vmr-error.ts'
import { localShell } from '../../../src/shell/local.ts'
import { runChecked } from '../../../src/shell/shell.ts'
import { checkHostKeys, fingerprintOf, parseHostKeys } from '../../../src/shell/ssh/host-key.ts'
import { loadTestbed } from '../../../src/testbed/testbed.ts'
import { sshRoutes } from '../../../src/vm/ssh/route.ts'
import { sshArgv } from '../../../src/vm/ssh/ssh-command.ts'

const blob = (byte: number) => `AAAAC3NzaC1lZDI1NTE5AAAAI${Buffer.alloc(30, byte).toString('base64')}`
const key = (byte: number) => ({ type: 'ssh-ed25519', blob: blob(byte) })

describe('the SSH host keys of a guest', () => {
  it('have the fingerprints that OpenSSH shows', async () => {
    const folder = await mkdtemp(join(tmpdir(), 'vmr-keys-'))
    try {
      for (const type of ['ed25519', 'ecdsa', 'rsa']) {
        const file = join(folder, type)
        await runChecked(localShell, ['ssh-keygen', '-q', '-t', type, '-N', '', '-f', file])
        const [own] = parseHostKeys(await readFile(`${file}.pub`, 'utf8'), 0)
        assert.ok(own)
        const shown = await runChecked(localShell, ['ssh-keygen', '-lf', `${file}.pub`])
        assert.equal(shown.split(' ')[1], fingerprintOf(own))
      }
    } finally {
      await rm(folder, { recursive: true })
    }
  })

  it('are read out of whatever a console or a scan shows, and nothing else is', () => {
    const text = `cat: warning\r\n# 192.0.2.1:22 SSH-2.0\r\nssh-ed25519 ${blob(1)} root@vyos\r\nssh-ed25519 ${blob(1)} again\r\nssh-rsa short\r\n`
    assert.deepEqual(parseHostKeys(text, 0), [key(1)])
    assert.deepEqual(parseHostKeys(`192.0.2.1 ssh-ed25519 ${blob(2)}\n`, 1), [key(2)])
    fc.assert(fc.property(fc.string(), fc.nat(3), (noise, skip) => assert.deepEqual(parseHostKeys(noise, skip), [])))
  })

  it('are refused with both fingerprints when none of them is pinned', () => {
    checkHostKeys('r1', [key(1), key(2)], [key(2), key(3)])
    assert.throws(
      () => checkHostKeys('r1', [key(1)], [key(2)]),
      (error) =>
        isVmrError(error) &&
        error.code === 'GUEST_HOST_KEY_CHANGED' &&
        error.message.includes(fingerprintOf(key(1))) &&
        error.message.includes(fingerprintOf(key(2))),
    )
  })
})

describe('a session by SSH', () => {
  const route = { shell: localShell, through: [], address: '192.0.2.1' }
  const session = { name: 'r1', uuid: 'u', user: 'vyos', route, askPassword: false, kind: 'linux' } as const

  it('goes to the address that was given, or from a PC of the testbed, by IPv4 before IPv6', async () => {
    assert.deepEqual(
      sshRoutes(undefined, '192.0.2.9').map(({ address, through }) => [address, through.length]),
      [['192.0.2.9', 0]],
    )
    const routes = sshRoutes(await loadTestbed('lab'), undefined)
    assert.deepEqual(routes[0]?.through, ['ip', 'netns', 'exec', 'vmr-pc1'])
    assert.deepEqual(
      routes.slice(0, 3).map(({ address }) => address),
      ['192.168.1.1', '192.168.2.1', '2001:db8:dead:beaf::1'],
    )
    assert.deepEqual(sshRoutes(undefined, undefined), [])
  })

  it('checks the pinned keys and no others, and shows no password to anybody', () => {
    const argv = sshArgv({ ...session, command: [] })
    for (const option of [
      'StrictHostKeyChecking=yes',
      'GlobalKnownHostsFile=/dev/null',
      'HostKeyAlias=u',
      'UpdateHostKeys=no',
    ])
      assert.ok(argv.includes(option), option)
    assert.deepEqual(argv.slice(-4), ['-l', 'vyos', '--', '192.0.2.1'])
  })

  it('runs a VyOS command through VyOS’s wrapper', () => {
    const argv = sshArgv({ ...session, kind: 'operational', command: ['show', 'interfaces'] })
    assert.equal(argv.at(-1), '/opt/vyatta/bin/vyatta-op-cmd-wrapper show interfaces')
  })

  it('carries every word to the guest’s shell as it is', async () => {
    const word = fc.string({ unit: 'grapheme' }).filter((text) => !text.includes('\0'))
    await fc.assert(
      fc.asyncProperty(fc.array(word, { minLength: 1, maxLength: 4 }), async (words) => {
        const line = sshArgv({ ...session, command: ['printf', '%s\\n', ...words] }).at(-1) ?? ''
        assert.equal(await runChecked(localShell, ['sh', '-c', line]), words.map((each) => `${each}\n`).join(''))
      }),
      { numRuns: 30 },
    )
  })
})
