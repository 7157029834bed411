import assert from 'node:assert/strict'
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { homedir, tmpdir, userInfo } from 'node:os'
import { join } from 'node:path'
import { execa } from 'execa'
import { localShell } from '../../../src/shell/local.ts'
import { sshConfigTarget } from '../../../src/shell/ssh/ssh-config.ts'

describe('a host of ssh_config', () => {
  let folder: string
  let publicKey: string
  const at = (name: string) => join(folder, name)

  before(async () => {
    folder = await mkdtemp(join(tmpdir(), 'vmr-config-'))
    await execa('ssh-keygen', ['-q', '-t', 'ed25519', '-N', '', '-C', '', '-f', at('key')])
    publicKey = (await readFile(at('key.pub'), 'utf8')).trim()
  })
  after(() => rm(folder, { recursive: true }))

  const blob = () => publicKey.split(' ')[1] ?? ''
  /** With every host known by the same key. */
  async function target(host: string, config: string, known = `* ${publicKey}\n`) {
    await writeFile(at('known'), known)
    await writeFile(
      at('config'),
      `UserKnownHostsFile ${at('known')}\nGlobalKnownHostsFile /dev/null\nIdentityFile ${at('key')}\nIdentityFile ${at('none')}\n${config}`,
    )
    return sshConfigTarget(host, { shell: localShell, file: at('config') })
  }

  it('has the name, port, user and keys that its file gives it, by pattern and Match too', async () => {
    const found = await target(
      'lab-r1',
      'Host lab-*\n  HostName 192.0.2.7\n  Port 2222\nMatch originalhost lab-r1\n  User admin\n  IdentityAgent /run/agent.sock\n',
      `[192.0.2.7]:2222 ${publicKey}\n@revoked [192.0.2.7]:2222 ssh-ed25519 ${'A'.repeat(68)}\n`,
    )
    assert.deepEqual(
      { ...found, privateKeys: found.privateKeys?.length },
      {
        name: 'lab-r1',
        host: '192.0.2.7',
        port: 2222,
        user: 'admin',
        privateKeys: 1,
        agent: '/run/agent.sock',
        hostKeys: [{ type: 'ssh-ed25519', blob: blob() }],
      },
    )
    assert.equal(found.privateKeys?.[0], await readFile(at('key'), 'utf8'))
  })

  it('is a name or an address of its own where no file has it', async () => {
    for (const host of ['192.0.2.1', '2001:db8::1', 'r1.example.net']) {
      const found = await target(host, '')
      assert.deepEqual([found.host, found.port, found.user, found.jump], [host, 22, undefined, undefined])
    }
  })

  it('is known by a hashed entry of known_hosts too', async () => {
    await writeFile(at('hashed'), `192.0.2.1 ${publicKey}\n`)
    await execa('ssh-keygen', ['-H', '-f', at('hashed')])
    const found = await target('192.0.2.1', '', await readFile(at('hashed'), 'utf8'))
    assert.deepEqual(found.hostKeys, [{ type: 'ssh-ed25519', blob: blob() }])
  })

  it('is reached through its jumps, the last one nearest, each as it is configured', async () => {
    const found = await target(
      'inner',
      `Host inner
  ProxyJump first,carol@[2001:db8::2]:2200
Host first
  HostName 192.0.2.1
  User alice
  ProxyJump gate
Host gate
  Port 2201
`,
    )
    const second = found.jump
    const first = second?.jump
    const gate = first?.jump
    assert.deepEqual([second?.host, second?.user, second?.port], ['2001:db8::2', 'carol', 2200])
    assert.deepEqual([first?.host, first?.user], ['192.0.2.1', 'alice'])
    assert.deepEqual([gate?.host, gate?.port, gate?.user, gate?.jump], ['gate', 2201, userInfo().username, undefined])
  })

  it('refuses what vmr does not do, and says so', async () => {
    for (const [config, code, message] of [
      ['Host a\n  ProxyCommand nc %h %p\n', 'CONFIG_INVALID', /reaches a by a ProxyCommand, which vmr does not run/],
      ['Host a\n  ProxyJump b\nHost b\n  ProxyJump a\n', 'CONFIG_INVALID', /through more than 8 hosts/],
      ['Host a\n  Port many\n', 'CONFIG_INVALID', /ssh cannot read its configuration/],
    ] as const)
      await assert.rejects(target('a', config), { code, message })
    await assert.rejects(target('a', '', `b ${publicKey}\n`), {
      code: 'GUEST_SSH_UNREACHABLE',
      message: /no key of a/,
      hint: /ssh a$/,
    })
    await assert.rejects(target('a', '', `a ${publicKey}\n@revoked * ${publicKey}\n`), {
      code: 'GUEST_SSH_UNREACHABLE',
    })
    for (const host of ['-oProxyCommand=id', 'a b', 'a\nb', '', '$(id)', 'a;id', `${'a'.repeat(300)}`])
      await assert.rejects(target(host, ''), { code: 'CONFIG_INVALID' }, host)
  })

  it('offers no agent where the configuration says so, and keys of the home directory by ~', async () => {
    const before = process.env.SSH_AUTH_SOCK
    process.env.SSH_AUTH_SOCK = '/run/own.sock'
    try {
      assert.equal((await target('a', '')).agent, '/run/own.sock')
      assert.equal((await target('a', 'IdentityAgent none\n')).agent, undefined)
      assert.equal((await target('a', 'IdentitiesOnly yes\n')).agent, undefined)
      assert.equal((await target('a', 'IdentityAgent ~/agent\n')).agent, join(homedir(), 'agent'))
    } finally {
      if (before === undefined) delete process.env.SSH_AUTH_SOCK
      else process.env.SSH_AUTH_SOCK = before
    }
  })
})
