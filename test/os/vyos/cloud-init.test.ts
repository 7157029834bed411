import assert from 'node:assert/strict'
import { mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { execa } from 'execa'
import fc from 'fast-check'
import { parseAllDocuments, parseDocument } from 'yaml'
import { networkConfigSchema } from '../../../src/config/network-config.ts'
import { isVmrError } from '../../../src/errors/vmr-error.ts'
import { cloudInitSeed } from '../../../src/image/cloud-init-seed.ts'
import { cloudConfig, cloudInitCommands, cloudNetworkConfig } from '../../../src/os/vyos/cloud-init.ts'

const key = { type: 'ssh-ed25519', blob: `AAAA${'b'.repeat(64)}` }
const login = { user: 'vyos', password: 'vyos' }
const network = networkConfigSchema.parse({
  hostName: 'r1',
  ethernets: {
    eth0: { addresses: ['192.0.2.1/24', '2001:db8::1/64'], mtu: 1400 },
    eth1: { vlans: { '10': { addresses: ['198.51.100.1/24'] } } },
  },
  bridges: { br0: { members: ['eth1'] } },
  routes: [{ to: '203.0.113.0/24', via: '192.0.2.254' }],
})

/** What VyOS's cloud-init makes of a line: the same expression as in its cc_vyos_userdata.py. */
function asCloudInitReads(line: string): readonly (string | undefined)[] {
  const found = /^(set|delete) ([^']+)( '(.*)')*$/.exec(line)
  assert.ok(found !== null, line)
  return [found[1], ...(found[2] ?? '').split(/\s+/), found[4] === undefined ? undefined : `=${found[4]}`]
}

describe('the first configuration of a VyOS with cloud-init', () => {
  it('is in lines of which cloud-init takes nodes for nodes and values for values', () => {
    assert.deepEqual(cloudInitCommands({ network, ...login, key }, '1.4'), [
      "delete interfaces ethernet eth0 address 'dhcp'",
      "delete interfaces ethernet eth0 address 'dhcpv6'",
      "set system host-name 'r1'",
      "set interfaces ethernet eth0 mtu '1400'",
      "set interfaces ethernet eth0 address '192.0.2.1/24'",
      "set interfaces ethernet eth0 address '2001:db8::1/64'",
      'set interfaces ethernet eth1 vif 10',
      "set interfaces ethernet eth1 vif 10 address '198.51.100.1/24'",
      'set interfaces bridge br0 member interface eth1',
      'set protocols static route 203.0.113.0/24 next-hop 192.0.2.254',
      "set system login user vyos authentication plaintext-password 'vyos'",
      'set service ssh',
      "set system login user vyos authentication public-keys vmr type 'ssh-ed25519'",
      `set system login user vyos authentication public-keys vmr key '${key.blob}'`,
    ])
  })

  it('lets no value become a second command, another node of VyOS’s or one of YAML’s', () => {
    const nasty = fc.oneof(
      fc.string({ unit: 'binary', maxLength: 60 }),
      fc
        .array(
          fc.constantFrom(
            ...[
              "'",
              '"',
              '\\',
              '`',
              '\n',
              '\r\n',
              '\u0085',
              '\u2028',
              ' ',
              '- ',
              ': ',
              '#',
              ' #',
              '{',
              '}',
              '[',
              '*a',
              '&a',
              '!!',
            ],
            ...[
              'set system',
              " 'x' ",
              '\n- set service ssh',
              '---\n',
              '...',
              '%YAML',
              '=',
              '~',
              '0x10',
              'yes',
              '\t',
              'é',
              '😀',
              '\0',
            ],
          ),
          { maxLength: 6 },
        )
        .map((parts) => parts.join('')),
      fc.string({ maxLength: 40 }),
    )
    let written = 0
    fc.assert(
      fc.property(
        fc.oneof(fc.constant('vyos'), nasty),
        nasty,
        fc.oneof(fc.constant(key.blob), nasty),
        (user, password, blob) => {
          let commands: readonly string[]
          try {
            commands = cloudInitCommands({ network, user, password, key: { type: key.type, blob } }, '1.4')
          } catch (error) {
            assert.ok(isVmrError(error) && error.code === 'CONFIG_INVALID')
            return
          }
          written += 1
          const text = cloudConfig(commands)
          assert.equal(parseAllDocuments(text).length, 1)
          for (const version of ['1.1', '1.2'] as const) {
            const document = parseDocument(text, { version })
            assert.deepEqual(document.errors, [])
            assert.deepEqual(document.toJS(), { vyos_config_commands: [...commands] })
          }
          assert.equal(text.split(/[\n\r\u0085\u2028\u2029]/).length, commands.length + 3)
          const at = ['set', 'system', 'login', 'user', user, 'authentication']
          assert.deepEqual(commands.slice(-4).map(asCloudInitReads), [
            [...at, 'plaintext-password', `=${password}`],
            ['set', 'service', 'ssh', undefined],
            [...at, 'public-keys', 'vmr', 'type', `=${key.type}`],
            [...at, 'public-keys', 'vmr', 'key', `=${blob}`],
          ])
        },
      ),
      { numRuns: 5000 },
    )
    assert.ok(written > 300, `${written} could be written`)
  })

  it('leaves the addresses to the commands: no DHCP by default', () => {
    assert.deepEqual(parseDocument(cloudNetworkConfig(2)).toJS(), {
      version: 2,
      ethernets: { eth0: { dhcp4: false, dhcp6: false }, eth1: { dhcp4: false, dhcp6: false } },
    })
  })

  it('comes on a volume that cloud-init looks for, with its three files as they were written', async () => {
    const texts = {
      userData: cloudConfig(cloudInitCommands({ network, ...login, key }, '1.4')),
      networkConfig: cloudNetworkConfig(2),
    }
    const folder = await mkdtemp(join(tmpdir(), 'vmr-seed-'))
    try {
      const file = join(folder, 'seed.iso')
      await writeFile(file, cloudInitSeed({ ...texts, instanceId: '6f1c2a0e', vmName: 'lab_r1' }))
      assert.match((await execa('blkid', ['-p', '-o', 'export', file])).stdout, /^LABEL=cidata$/m)
      const out = join(folder, 'out')
      await execa('xorriso', ['-osirrox', 'on', '-read_fs', 'any', '-indev', file, '-extract', '/', out])
      assert.deepEqual((await readdir(out)).toSorted(), ['meta-data', 'network-config', 'user-data'])
      const read = (name: string) => readFile(join(out, name), 'utf8')
      assert.equal(await read('user-data'), texts.userData)
      assert.equal(await read('network-config'), texts.networkConfig)
      assert.equal(await read('meta-data'), 'instance-id: 6f1c2a0e\nlocal-hostname: lab-r1\n')
    } finally {
      await execa('chmod', ['-R', 'u+w', folder])
      await rm(folder, { recursive: true })
    }
  })
})
