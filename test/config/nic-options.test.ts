import assert from 'node:assert/strict'
import { domainDefinitionSchema } from '../../src/config/domain-definition.ts'
import { parseYaml } from '../../src/config/load-yaml.ts'
import { withNicOptions } from '../../src/config/nic-options.ts'

const definition = parseYaml(
  'os: vyos\nmemory: 1 GiB\nimage: ./v.qcow2\nnics: [{ mtu: 1500, bootOrder: 1 }, { offloads: { guest: { ufo: true } } }]\n',
  domainDefinitionSchema,
  'test.yaml',
)

describe('--nic-option', () => {
  it('sets fields of one NIC, wins over the definition, and keeps the rest', () => {
    const { nics, management } = withNicOptions(definition, [
      'eth0.mtu=1400',
      'eth0.link=down',
      'eth1.offloads.guest.tso4=false',
      'eth1.vlan={ trunk: [10, 20], native: 10 }',
      'eth1.mac=52:54:00:12:34:56',
      'management.model=e1000e',
    ])
    assert.deepEqual(nics, [
      { mtu: 1400, bootOrder: 1, link: 'down' },
      {
        offloads: { guest: { ufo: true, tso4: false } },
        vlan: { trunk: [10, 20], native: 10 },
        mac: '52:54:00:12:34:56',
      },
    ])
    assert.deepEqual(management, { mode: 'user', model: 'e1000e' })
    assert.equal(definition.nics[0]?.mtu, 1500)
  })

  for (const [option, message] of [
    ['mtu=1400', /"mtu=1400": it has another form/],
    ['eth0.mtu', /it has another form/],
    ['eth2.mtu=1400', /there is no eth2/],
    ['eth0.mtu=9', /mtu: /],
    ['eth0.mtu=fast', /mtu: /],
    ['eth0.speed=1', /"eth0\.speed=1": speed: Unrecognized key/],
    ['eth0.link=sideways', /link: /],
    ['eth0.vlan={', /the value is no YAML/],
    ['eth1.bootOrder=1', /bootOrder 1 is given to two devices/],
    ['eth0.__proto__.polluted=1', /it has another form/],
    ['eth0.constructor.x=1', /constructor/],
    ['eth0.mac=*a', /YAML/],
  ] as const) {
    it(`refuses ${option} and says why`, () => {
      assert.throws(() => withNicOptions(definition, [option]), { code: 'USAGE', message })
    })
  }
})
