import assert from 'node:assert/strict'
import { ConnectError } from '../../src/libvirt/index.ts'
import { parseUri } from '../../src/libvirt/uri.ts'

const root = { isRoot: true, userDirectory: '/run/user/0', readOnly: false }
const user = { isRoot: false, userDirectory: '/run/user/1000', readOnly: false }

describe('libvirt URI', () => {
  it('finds the modular daemon first, then libvirtd', () => {
    assert.deepEqual(parseUri('qemu:///system', user), {
      driverUri: 'qemu:///system',
      sockets: ['/var/run/libvirt/virtqemud-sock', '/var/run/libvirt/libvirt-sock'],
    })
  })

  it('finds a user session in the runtime folder', () => {
    assert.deepEqual(parseUri('qemu:///session', user).sockets, [
      '/run/user/1000/libvirt/virtqemud-sock',
      '/run/user/1000/libvirt/libvirt-sock',
    ])
    assert.equal(parseUri('qemu:///session', root).sockets[0], '/var/run/libvirt/virtqemud-sock')
  })

  it('takes the test driver from libvirtd, which alone has it', () => {
    assert.deepEqual(parseUri('test:///default', root), {
      driverUri: 'test:///default',
      sockets: ['/var/run/libvirt/libvirt-sock'],
    })
  })

  it('takes the read-only sockets of system daemons', () => {
    assert.deepEqual(parseUri('qemu:///system', { ...root, readOnly: true }).sockets, [
      '/var/run/libvirt/virtqemud-sock-ro',
      '/var/run/libvirt/libvirt-sock-ro',
    ])
  })

  it('obeys mode and socket, and does not tell them to the daemon', () => {
    assert.deepEqual(parseUri('qemu:///system?mode=direct', root).sockets, ['/var/run/libvirt/virtqemud-sock'])
    assert.deepEqual(parseUri('qemu:///system?mode=legacy', root).sockets, ['/var/run/libvirt/libvirt-sock'])
    assert.deepEqual(parseUri('qemu+unix:///system?socket=/tmp/a%20b', root), {
      driverUri: 'qemu:///system',
      sockets: ['/tmp/a b'],
    })
  })

  for (const [uri, why] of [
    ['', /not a URI/],
    ['system', /not a URI/],
    ['qemu+tls://host/system', /transport tls/],
    ['qemu+ssh://host/system', /transport ssh/],
    ['qemu+tcp:///system', /transport tcp/],
    ['esx://host/', /driver esx/],
    ['xen:///system', /driver xen/],
    ['constructor:///x', /driver constructor/],
    ['qemu://host/system', /remote host/],
    ['qemu:///', /\/system and \/session/],
    ['qemu:///elsewhere', /\/elsewhere/],
    ['test:///', /path is missing/],
    ['qemu:///system?socket=relative', /absolute path/],
    ['qemu:///system?mode=odd', /mode is odd/],
    ['test:///default?mode=direct', /no modular daemon/],
    ['qemu:///system?no_verify=1', /parameter no_verify/],
  ] as const) {
    it(`refuses ${JSON.stringify(uri)} and says why`, () => {
      assert.throws(
        () => parseUri(uri, root),
        (error) => error instanceof ConnectError && error.reason === 'uri-unsupported' && why.test(error.message),
      )
    })
  }
})
