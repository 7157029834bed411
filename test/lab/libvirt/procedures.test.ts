import assert from 'node:assert/strict'
import { mkdtemp, readFile, rm } from 'node:fs/promises'
import { connect as connectSocket } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { buffer } from 'node:stream/consumers'
import { frameReader } from '../../../src/libvirt/frame-reader.ts'
import {
  type Connection,
  connect,
  connectOver,
  type Domain,
  type ErrorCode,
  LibvirtError,
} from '../../../src/libvirt/index.ts'
import { messageType, readHeader } from '../../../src/libvirt/protocol/message.ts'
import { type ProcedureName, procedures } from '../../../src/libvirt/protocol/procedures.ts'
import { type TestDomain, testDomain } from './test-domain.ts'

/** libvirt's own list of its procedures, generated from its protocol files; part of the package libvirt-daemon. */
const tapset = '/usr/share/systemtap/tapset/libvirt_functions.stp'
const namespace = 'https://example.org/bindings'

/** How a row is tried: it succeeds, or is refused with this code by the driver, which proves that it was understood. */
interface Exercise {
  readonly run: (to: Lab) => Promise<unknown>
  readonly refusedWith?: ErrorCode
  /** It depends on the host whether it succeeds; if not, it is refused with one of these codes. */
  readonly mayBeRefusedWith?: readonly ErrorCode[]
}

interface Lab {
  /** test:///default */
  readonly test: Connection
  readonly qemu: Connection
  /** A running domain of each. */
  readonly testVm: Domain
  readonly vm: Domain
  readonly lab: TestDomain
  readonly directory: string
}

const snapshotXml = '<domainsnapshot><name>before</name></domainsnapshot>'
const networkXml = (name: string) =>
  `<network><name>${name}</name><bridge name='vmrlvbr0'/><ip address='192.0.2.1' netmask='255.255.255.0'/></network>`
const poolXml = (name: string, path: string) =>
  `<pool type='dir'><name>${name}</name><target><path>${path}</path></target></pool>`
const volumeXml = (name: string) =>
  `<volume><name>${name}</name><capacity>65536</capacity><target><format type='raw'/></target></volume>`
const tabletXml = "<input type='tablet' bus='usb'><alias name='ua-tablet'/></input>"
const transientXml = `<domain type='test'><name>brief</name><memory>1024</memory><os><type>hvm</type></os></domain>`
const interfaceXml = (lab: TestDomain, linkState: string) =>
  `<interface type='ethernet'><mac address='52:54:00:12:34:56'/><target dev='${lab.tap}'/><model type='virtio'/>
   <link state='${linkState}'/></interface>`

/** Runs with a network of the test driver that is gone afterwards. */
async function withNetwork<T>({ test }: Lab, action: (network: { name: string; uuid: string }) => Promise<T>) {
  const network = await test.defineNetwork(networkXml('bindings'))
  try {
    return await action(network)
  } finally {
    if (await test.isNetworkActive(network)) await test.destroyNetwork(network)
    await test.undefineNetwork(network)
  }
}

/** Runs with a started pool in a folder of its own, at QEMU's daemon, whose volumes are files. */
async function withPool<T>({ qemu, directory }: Lab, action: (pool: { name: string; uuid: string }) => Promise<T>) {
  const path = join(directory, 'pool')
  const pool = await qemu.defineStoragePool(poolXml('vmr-bindings', path))
  try {
    await qemu.buildStoragePool(pool)
    await qemu.createStoragePool(pool)
    return await action(pool)
  } finally {
    if (await qemu.isStoragePoolActive(pool)) await qemu.destroyStoragePool(pool)
    await qemu.undefineStoragePool(pool)
    await rm(path, { recursive: true, force: true })
  }
}

function withVolume<T>(
  lab: Lab,
  action: (volume: { pool: string; name: string; key: string }, pool: { name: string; uuid: string }) => Promise<T>,
) {
  return withPool(lab, async (pool) => action(await lab.qemu.createVolume(pool, volumeXml('v.raw')), pool))
}

async function withSnapshot<T>(
  { test, testVm }: Lab,
  action: (snapshot: { name: string; domain: Domain }) => Promise<T>,
): Promise<T> {
  const snapshot = await test.createSnapshot(testVm, snapshotXml)
  try {
    return await action(snapshot)
  } finally {
    await test.deleteSnapshot(snapshot).catch(() => {})
  }
}

/** Every row of the table once; the compiler sees to it that none is missing. */
const exercises: Record<ProcedureName, Exercise> = {
  AUTH_LIST: { run: async ({ test }) => test.isOpen() },
  AUTH_POLKIT: { run: ({ qemu }) => qemu.hostname() },
  CONNECT_OPEN: { run: async ({ test }) => test.isOpen() },
  CONNECT_SUPPORTS_FEATURE: { run: async ({ test }) => test.isOpen() },
  CONNECT_GET_TYPE: { run: async ({ qemu }) => assert.equal(await qemu.hypervisorType(), 'QEMU') },
  CONNECT_GET_VERSION: { run: async ({ qemu }) => assert.match(await qemu.hypervisorVersion(), /^\d+\.\d+\.\d+$/) },
  CONNECT_GET_LIB_VERSION: { run: async ({ qemu }) => assert.match(await qemu.libvirtVersion(), /^\d+\.\d+\.\d+$/) },
  CONNECT_GET_HOSTNAME: { run: async ({ qemu }) => assert.notEqual(await qemu.hostname(), '') },
  CONNECT_GET_URI: { run: async ({ test }) => assert.equal(await test.daemonUri(), 'test:///default') },
  CONNECT_GET_CAPABILITIES: { run: async ({ qemu }) => assert.match(await qemu.capabilities(), /<capabilities>/) },
  CONNECT_GET_DOMAIN_CAPABILITIES: {
    run: async ({ qemu }) =>
      assert.match(await qemu.domainCapabilities({ virtType: 'qemu', arch: 'x86_64' }), /<domainCapabilities>/),
  },
  CONNECT_DOMAIN_XML_TO_NATIVE: {
    run: async ({ qemu }) => {
      const xml =
        "<domain type='qemu'><name>x</name><memory>65536</memory><os><type arch='x86_64'>hvm</type></os></domain>"
      assert.match(await qemu.domainXmlToNative('qemu-argv', xml), /qemu-system-x86_64/)
    },
  },
  CONNECT_GET_SYSINFO: { run: ({ qemu }) => qemu.sysinfo(), mayBeRefusedWith: ['VIR_ERR_CONFIG_UNSUPPORTED'] },
  CONNECT_GET_CPU_MODEL_NAMES: {
    run: async ({ qemu }) => assert.ok((await qemu.cpuModelNames('x86_64')).includes('qemu64')),
  },
  NODE_GET_INFO: { run: async ({ test }) => assert.equal((await test.nodeInfo()).model, 'i686') },
  NODE_GET_FREE_MEMORY: { run: async ({ qemu }) => assert.ok((await qemu.freeMemory()) > 0) },
  CONNECT_LIST_ALL_DOMAINS: {
    run: async ({ qemu, vm }) => assert.ok((await qemu.listAllDomains({ active: true })).some((d) => d.id === vm.id)),
  },
  DOMAIN_LOOKUP_BY_NAME: { run: async ({ qemu, vm }) => assert.deepEqual(await qemu.lookupDomainByName(vm.name), vm) },
  DOMAIN_LOOKUP_BY_UUID: { run: async ({ qemu, vm }) => assert.deepEqual(await qemu.lookupDomainByUuid(vm.uuid), vm) },
  DOMAIN_LOOKUP_BY_ID: { run: async ({ qemu, vm }) => assert.deepEqual(await qemu.lookupDomainById(vm.id), vm) },
  DOMAIN_DEFINE_XML_FLAGS: {
    run: ({ qemu }) => qemu.defineDomain("<domain type='qemu'><name>x</name><oddity/></domain>", { validate: true }),
    refusedWith: 'VIR_ERR_XML_INVALID_SCHEMA',
  },
  DOMAIN_CREATE_XML: {
    run: async ({ test }) => {
      const brief = await test.createTransientDomain(transientXml)
      assert.ok(brief.id > 0)
      await test.destroyDomain(brief)
    },
  },
  DOMAIN_CREATE_WITH_FLAGS: { run: ({ qemu, vm }) => qemu.createDomain(vm), refusedWith: 'VIR_ERR_OPERATION_INVALID' },
  DOMAIN_UNDEFINE_FLAGS: {
    run: async ({ test }) => {
      const defined = await test.defineDomain(transientXml.replace('brief', 'defined'))
      await test.undefineDomain(defined)
      assert.ok(!(await test.listAllDomains()).some((each) => each.name === 'defined'))
    },
  },
  DOMAIN_DESTROY_FLAGS: {
    run: async ({ test, testVm }) => {
      await test.destroyDomain(testVm)
      await test.createDomain(testVm)
    },
  },
  DOMAIN_SHUTDOWN_FLAGS: { run: ({ qemu, vm }) => qemu.shutdownDomain(vm, { acpi: true }) },
  DOMAIN_REBOOT: {
    run: ({ qemu, vm }) => qemu.rebootDomain(vm, { guestAgent: true }),
    refusedWith: 'VIR_ERR_AGENT_UNRESPONSIVE',
  },
  DOMAIN_RESET: { run: ({ qemu, vm }) => qemu.resetDomain(vm) },
  DOMAIN_SUSPEND: {
    run: async ({ qemu, vm }) => {
      await qemu.suspendDomain(vm)
      assert.deepEqual(await qemu.domainState(vm), { state: 'paused', reason: 'user' })
      await qemu.resumeDomain(vm)
    },
  },
  DOMAIN_RESUME: {
    run: async ({ qemu, vm }) => {
      await qemu.suspendDomain(vm)
      await qemu.resumeDomain(vm)
      assert.deepEqual(await qemu.domainState(vm), { state: 'running', reason: 'unpaused' })
    },
  },
  DOMAIN_RENAME: {
    run: async ({ test }) => {
      const old = await test.defineDomain(transientXml.replace('brief', 'old'))
      await test.renameDomain(old, 'new')
      await test.undefineDomain(await test.lookupDomainByName('new'))
    },
  },
  DOMAIN_GET_AUTOSTART: { run: async ({ qemu, vm }) => assert.equal(await qemu.domainAutostart(vm), false) },
  DOMAIN_SET_AUTOSTART: {
    run: async ({ qemu, vm }) => {
      await qemu.setDomainAutostart(vm, true)
      assert.equal(await qemu.domainAutostart(vm), true)
      await qemu.setDomainAutostart(vm, false)
    },
  },
  DOMAIN_MANAGED_SAVE: {
    run: async ({ test, testVm }) => {
      await test.managedSave(testVm)
      assert.equal(await test.hasManagedSave(testVm), true)
      await test.createDomain(testVm)
    },
  },
  DOMAIN_HAS_MANAGED_SAVE_IMAGE: { run: async ({ qemu, vm }) => assert.equal(await qemu.hasManagedSave(vm), false) },
  DOMAIN_MANAGED_SAVE_REMOVE: {
    run: async ({ test, testVm }) => {
      await test.managedSave(testVm)
      await test.removeManagedSave(testVm)
      assert.equal(await test.hasManagedSave(testVm), false)
      await test.createDomain(testVm)
    },
  },
  DOMAIN_ABORT_JOB: { run: ({ qemu, vm }) => qemu.abortJob(vm), refusedWith: 'VIR_ERR_OPERATION_INVALID' },
  DOMAIN_GET_XML_DESC: {
    run: async ({ qemu, vm, lab }) => assert.ok((await qemu.domainXml(vm)).includes(`<target dev='${lab.tap}'/>`)),
  },
  DOMAIN_GET_STATE: { run: async ({ qemu, vm }) => assert.equal((await qemu.domainState(vm)).state, 'running') },
  DOMAIN_GET_INFO: { run: async ({ qemu, vm }) => assert.equal((await qemu.domainInfo(vm)).maxMemory, 65_536) },
  DOMAIN_IS_ACTIVE: { run: async ({ qemu, vm }) => assert.equal(await qemu.isDomainActive(vm), true) },
  DOMAIN_IS_PERSISTENT: { run: async ({ qemu, vm }) => assert.equal(await qemu.isDomainPersistent(vm), true) },
  DOMAIN_IS_UPDATED: { run: async ({ qemu, vm }) => assert.equal(await qemu.isDomainUpdated(vm), false) },
  DOMAIN_GET_MESSAGES: { run: async ({ qemu, vm }) => assert.ok(Array.isArray(await qemu.domainMessages(vm))) },
  DOMAIN_GET_CONTROL_INFO: {
    // Between the other rows the monitor may still be busy with the last one.
    run: async ({ qemu, vm }) => assert.match((await qemu.domainControl(vm)).state, /^(ok|job|occupied)$/),
  },
  DOMAIN_GET_JOB_STATS: { run: async ({ qemu, vm }) => assert.equal((await qemu.domainJob(vm)).type, 'none') },
  DOMAIN_GET_DISK_ERRORS: { run: async ({ qemu, vm }) => assert.deepEqual(await qemu.diskErrors(vm), []) },
  DOMAIN_INTERFACE_ADDRESSES: {
    run: async ({ test, testVm }) => {
      const [first] = await test.interfaceAddresses(testVm, 'lease')
      assert.ok(first === undefined || first.addresses.length > 0)
    },
  },
  DOMAIN_GET_HOSTNAME: {
    run: ({ qemu, vm }) => qemu.guestHostname(vm, { agent: true }),
    refusedWith: 'VIR_ERR_AGENT_UNRESPONSIVE',
  },
  DOMAIN_GET_METADATA: {
    run: ({ qemu, vm }) => qemu.domainMetadata(vm, { kind: 'element', uri: namespace }),
    refusedWith: 'VIR_ERR_NO_DOMAIN_METADATA',
  },
  DOMAIN_SET_METADATA: {
    run: async ({ qemu, vm }) => {
      const own = { kind: 'element', uri: namespace } as const
      await qemu.setDomainMetadata(vm, own, '<image>lab</image>', { live: true, config: true, prefix: 'b' })
      assert.match(await qemu.domainMetadata(vm, own, { config: true }), /<image>lab<\/image>/)
      await qemu.setDomainMetadata(vm, own, null, { live: true, config: true, prefix: 'b' })
      await qemu.setDomainMetadata(vm, { kind: 'title' }, 'a title')
      assert.equal(await qemu.domainMetadata(vm, { kind: 'title' }), 'a title')
    },
  },
  DOMAIN_ATTACH_DEVICE_FLAGS: {
    run: async ({ qemu, vm }) => {
      await qemu.attachDevice(vm, tabletXml, { live: true })
      assert.match(await qemu.domainXml(vm), /ua-tablet/)
      await qemu.detachDevice(vm, tabletXml, { live: true })
    },
  },
  DOMAIN_DETACH_DEVICE_FLAGS: {
    run: ({ qemu, vm }) => qemu.detachDevice(vm, tabletXml, { live: true }),
    refusedWith: 'VIR_ERR_DEVICE_MISSING',
  },
  DOMAIN_DETACH_DEVICE_ALIAS: {
    run: async ({ qemu, vm }) => {
      await qemu.attachDevice(vm, tabletXml, { live: true })
      const events = await qemu.domainEvents({ kinds: ['device-removed'], domain: vm })
      await qemu.detachDeviceAlias(vm, 'ua-tablet', { live: true })
      assert.equal((await events.next()).value?.alias, 'ua-tablet')
      await events.return()
    },
  },
  DOMAIN_UPDATE_DEVICE_FLAGS: {
    run: async ({ qemu, vm, lab }) => {
      await qemu.updateDevice(vm, interfaceXml(lab, 'down'), { live: true })
      assert.match(await qemu.domainXml(vm), /<link state='down'\/>/)
    },
  },
  DOMAIN_SET_INTERFACE_PARAMETERS: {
    run: async ({ qemu, vm, lab }) => {
      await qemu.setInterfaceParameters(vm, lab.tap, { outbound: { average: 1000, peak: 2000 } }, { config: true })
      const parameters = await qemu.interfaceParameters(vm, lab.tap, { config: true })
      assert.equal(parameters['outbound.average'], 1000)
    },
  },
  DOMAIN_GET_INTERFACE_PARAMETERS: {
    run: async ({ qemu, vm, lab }) =>
      assert.equal((await qemu.interfaceParameters(vm, lab.tap, { live: true }))['inbound.average'], 0),
  },
  DOMAIN_GET_VCPUS_FLAGS: {
    run: async ({ qemu, vm }) => assert.equal(await qemu.vcpuCount(vm, { config: true, maximum: true }), 2),
  },
  DOMAIN_SET_VCPUS_FLAGS: {
    run: async ({ qemu, vm }) => {
      await qemu.setVcpuCount(vm, 2, { config: true })
      assert.equal(await qemu.vcpuCount(vm, { config: true }), 2)
    },
  },
  DOMAIN_PIN_VCPU_FLAGS: { run: ({ qemu, vm }) => qemu.pinVcpu(vm, 0, [0, 1], { live: true }) },
  DOMAIN_PIN_EMULATOR: { run: ({ qemu, vm }) => qemu.pinEmulator(vm, [0], { config: true }) },
  DOMAIN_SET_MEMORY_FLAGS: {
    run: async ({ qemu, vm }) => {
      await qemu.setMemory(vm, 32_768, { config: true })
      assert.match(await qemu.domainXml(vm, { inactive: true }), /<currentMemory unit='KiB'>32768</)
    },
  },
  DOMAIN_BLOCK_RESIZE: { run: ({ qemu, vm }) => qemu.resizeBlockDevice(vm, 'vda', 2 * 1024 * 1024) },
  DOMAIN_INTERFACE_STATS: {
    run: async ({ qemu, vm, lab }) => assert.ok((await qemu.interfaceStats(vm, lab.tap)).txBytes >= 0),
  },
  DOMAIN_BLOCK_STATS: { run: async ({ qemu, vm }) => assert.ok((await qemu.blockStats(vm, 'vda')).readBytes >= 0) },
  DOMAIN_BLOCK_STATS_FLAGS: {
    run: async ({ qemu, vm }) => assert.equal(typeof (await qemu.blockStatsDetailed(vm, 'vda')).rd_bytes, 'number'),
  },
  DOMAIN_GET_BLOCK_INFO: {
    run: async ({ qemu, vm }) => assert.ok((await qemu.blockInfo(vm, 'vda')).capacity >= 1024 * 1024),
  },
  DOMAIN_MEMORY_STATS: {
    run: async ({ qemu, vm }) => assert.equal((await qemu.memoryStats(vm)).actualBalloon, 65_536),
  },
  DOMAIN_GET_CPU_STATS: {
    run: async ({ test, testVm }) => assert.ok(Object.keys(await test.cpuStats(testVm)).includes('cpu_time')),
  },
  DOMAIN_GET_VCPUS: { run: async ({ qemu, vm }) => assert.equal((await qemu.vcpus(vm))[0]?.state, 'running') },
  CONNECT_GET_ALL_DOMAIN_STATS: {
    run: async ({ qemu, vm }) => {
      const [stats] = await qemu.domainStats({ domains: [vm], state: true, interface: true })
      assert.equal(stats?.stats['net.count'], 1)
    },
  },
  DOMAIN_LIST_ALL_SNAPSHOTS: {
    run: (lab) =>
      withSnapshot(lab, async (snapshot) => assert.deepEqual(await lab.test.listSnapshots(lab.testVm), [snapshot])),
  },
  DOMAIN_SNAPSHOT_CREATE_XML: { run: (lab) => withSnapshot(lab, async ({ name }) => assert.equal(name, 'before')) },
  DOMAIN_SNAPSHOT_GET_XML_DESC: {
    run: (lab) =>
      withSnapshot(lab, async (snapshot) => assert.match(await lab.test.snapshotXml(snapshot), /<name>before/)),
  },
  DOMAIN_SNAPSHOT_LOOKUP_BY_NAME: {
    run: (lab) =>
      withSnapshot(lab, async (snapshot) =>
        assert.deepEqual(await lab.test.lookupSnapshot(lab.testVm, 'before'), snapshot),
      ),
  },
  DOMAIN_HAS_CURRENT_SNAPSHOT: {
    run: (lab) => withSnapshot(lab, async () => assert.equal(await lab.test.hasCurrentSnapshot(lab.testVm), true)),
  },
  DOMAIN_SNAPSHOT_CURRENT: {
    run: (lab) =>
      withSnapshot(lab, async (snapshot) => assert.deepEqual(await lab.test.currentSnapshot(lab.testVm), snapshot)),
  },
  DOMAIN_SNAPSHOT_GET_PARENT: {
    run: (lab) => withSnapshot(lab, (snapshot) => lab.test.snapshotParent(snapshot)),
    refusedWith: 'VIR_ERR_NO_DOMAIN_SNAPSHOT',
  },
  DOMAIN_REVERT_TO_SNAPSHOT: { run: (lab) => withSnapshot(lab, (snapshot) => lab.test.revertToSnapshot(snapshot)) },
  DOMAIN_SNAPSHOT_DELETE: {
    run: (lab) =>
      withSnapshot(lab, async (snapshot) => {
        await lab.test.deleteSnapshot(snapshot)
        assert.deepEqual(await lab.test.listSnapshots(lab.testVm), [])
      }),
  },
  CONNECT_LIST_ALL_NETWORKS: {
    run: async ({ test }) => assert.ok((await test.listAllNetworks()).some((network) => network.name === 'default')),
  },
  NETWORK_LOOKUP_BY_NAME: {
    run: (lab) =>
      withNetwork(lab, async (network) => assert.deepEqual(await lab.test.lookupNetworkByName('bindings'), network)),
  },
  NETWORK_LOOKUP_BY_UUID: {
    run: (lab) =>
      withNetwork(lab, async (network) => assert.deepEqual(await lab.test.lookupNetworkByUuid(network.uuid), network)),
  },
  NETWORK_DEFINE_XML: { run: (lab) => withNetwork(lab, async ({ name }) => assert.equal(name, 'bindings')) },
  NETWORK_DEFINE_XML_FLAGS: {
    run: ({ qemu }) => qemu.defineNetwork('<network><name>x</name><oddity/></network>', { validate: true }),
    refusedWith: 'VIR_ERR_XML_INVALID_SCHEMA',
  },
  NETWORK_CREATE: { run: (lab) => withNetwork(lab, (network) => lab.test.createNetwork(network)) },
  NETWORK_CREATE_XML: {
    run: async ({ test }) => test.destroyNetwork(await test.createTransientNetwork(networkXml('brief'))),
  },
  NETWORK_DESTROY: {
    run: (lab) =>
      withNetwork(lab, async (network) => {
        await lab.test.createNetwork(network)
        await lab.test.destroyNetwork(network)
        assert.equal(await lab.test.isNetworkActive(network), false)
      }),
  },
  NETWORK_UNDEFINE: { run: (lab) => withNetwork(lab, async () => {}) },
  NETWORK_UPDATE: {
    run: (lab) =>
      withNetwork(lab, (network) =>
        lab.test.updateNetwork(
          network,
          { command: 'add-last', section: 'dns-host', xml: "<host ip='192.0.2.9'><hostname>pc9</hostname></host>" },
          { config: true },
        ),
      ),
  },
  NETWORK_GET_XML_DESC: {
    run: (lab) => withNetwork(lab, async (network) => assert.match(await lab.test.networkXml(network), /192\.0\.2\.1/)),
  },
  NETWORK_GET_BRIDGE_NAME: {
    run: (lab) => withNetwork(lab, async (network) => assert.equal(await lab.test.networkBridge(network), 'vmrlvbr0')),
  },
  NETWORK_GET_AUTOSTART: {
    run: (lab) => withNetwork(lab, async (network) => assert.equal(await lab.test.networkAutostart(network), false)),
  },
  NETWORK_SET_AUTOSTART: {
    run: (lab) =>
      withNetwork(lab, async (network) => {
        await lab.test.setNetworkAutostart(network, true)
        assert.equal(await lab.test.networkAutostart(network), true)
      }),
  },
  NETWORK_IS_ACTIVE: {
    run: (lab) => withNetwork(lab, async (network) => assert.equal(await lab.test.isNetworkActive(network), false)),
  },
  NETWORK_IS_PERSISTENT: {
    run: (lab) => withNetwork(lab, async (network) => assert.equal(await lab.test.isNetworkPersistent(network), true)),
  },
  NETWORK_GET_DHCP_LEASES: {
    run: ({ qemu }) =>
      qemu.networkDhcpLeases(
        { name: 'none', uuid: '6695eb01-f6a4-8304-79aa-97f2502e193f' },
        { mac: '52:54:00:00:00:01' },
      ),
    refusedWith: 'VIR_ERR_NO_NETWORK',
  },
  CONNECT_LIST_ALL_STORAGE_POOLS: {
    run: (lab) =>
      withPool(lab, async (pool) =>
        assert.ok((await lab.qemu.listAllStoragePools()).some((p) => p.name === pool.name)),
      ),
  },
  STORAGE_POOL_LOOKUP_BY_NAME: {
    run: (lab) =>
      withPool(lab, async (pool) => assert.deepEqual(await lab.qemu.lookupStoragePool('vmr-bindings'), pool)),
  },
  STORAGE_POOL_DEFINE_XML: { run: (lab) => withPool(lab, async ({ name }) => assert.equal(name, 'vmr-bindings')) },
  STORAGE_POOL_CREATE_XML: {
    run: async ({ qemu, directory }) =>
      qemu.destroyStoragePool(await qemu.createTransientStoragePool(poolXml('vmr-brief', directory))),
  },
  STORAGE_POOL_CREATE: {
    run: (lab) => withPool(lab, async (pool) => assert.equal(await lab.qemu.isStoragePoolActive(pool), true)),
  },
  STORAGE_POOL_BUILD: { run: (lab) => withPool(lab, async (pool) => assert.ok(pool)) },
  STORAGE_POOL_DESTROY: {
    run: (lab) =>
      withPool(lab, async (pool) => {
        await lab.qemu.destroyStoragePool(pool)
        assert.equal(await lab.qemu.isStoragePoolActive(pool), false)
      }),
  },
  STORAGE_POOL_DELETE: {
    run: (lab) =>
      withPool(lab, async (pool) => {
        await lab.qemu.destroyStoragePool(pool)
        await lab.qemu.deleteStoragePool(pool)
      }),
  },
  STORAGE_POOL_UNDEFINE: { run: (lab) => withPool(lab, async () => {}) },
  STORAGE_POOL_REFRESH: { run: (lab) => withPool(lab, (pool) => lab.qemu.refreshStoragePool(pool)) },
  STORAGE_POOL_GET_XML_DESC: {
    run: (lab) => withPool(lab, async (pool) => assert.match(await lab.qemu.storagePoolXml(pool), /<pool type='dir'>/)),
  },
  STORAGE_POOL_GET_INFO: {
    run: (lab) => withPool(lab, async (pool) => assert.equal((await lab.qemu.storagePoolInfo(pool)).state, 'running')),
  },
  STORAGE_POOL_IS_ACTIVE: {
    run: (lab) => withPool(lab, async (pool) => assert.equal(await lab.qemu.isStoragePoolActive(pool), true)),
  },
  STORAGE_POOL_GET_AUTOSTART: {
    run: (lab) => withPool(lab, async (pool) => assert.equal(await lab.qemu.storagePoolAutostart(pool), false)),
  },
  STORAGE_POOL_SET_AUTOSTART: {
    run: (lab) =>
      withPool(lab, async (pool) => {
        await lab.qemu.setStoragePoolAutostart(pool, true)
        assert.equal(await lab.qemu.storagePoolAutostart(pool), true)
        await lab.qemu.setStoragePoolAutostart(pool, false)
      }),
  },
  STORAGE_POOL_LIST_ALL_VOLUMES: {
    run: (lab) => withVolume(lab, async (volume, pool) => assert.deepEqual(await lab.qemu.listVolumes(pool), [volume])),
  },
  STORAGE_VOL_LOOKUP_BY_NAME: {
    run: (lab) =>
      withVolume(lab, async (volume, pool) => assert.deepEqual(await lab.qemu.lookupVolume(pool, 'v.raw'), volume)),
  },
  STORAGE_VOL_LOOKUP_BY_PATH: {
    run: (lab) =>
      withVolume(lab, async (volume) => assert.deepEqual(await lab.qemu.lookupVolumeByPath(volume.key), volume)),
  },
  STORAGE_VOL_CREATE_XML: { run: (lab) => withVolume(lab, async ({ name }) => assert.equal(name, 'v.raw')) },
  STORAGE_VOL_CREATE_XML_FROM: {
    run: (lab) =>
      withVolume(lab, async (volume, pool) => {
        const clone = await lab.qemu.cloneVolume(pool, volumeXml('w.raw'), volume)
        assert.equal(clone.name, 'w.raw')
      }),
  },
  STORAGE_VOL_DELETE: {
    run: (lab) =>
      withVolume(lab, async (volume, pool) => {
        await lab.qemu.deleteVolume(volume)
        assert.deepEqual(await lab.qemu.listVolumes(pool), [])
      }),
  },
  STORAGE_VOL_GET_XML_DESC: {
    run: (lab) => withVolume(lab, async (volume) => assert.match(await lab.qemu.volumeXml(volume), /<name>v.raw/)),
  },
  STORAGE_VOL_GET_INFO: {
    run: (lab) =>
      withVolume(lab, async (volume) => {
        const { type, capacity } = await lab.qemu.volumeInfo(volume)
        assert.deepEqual({ type, capacity }, { type: 'file', capacity: 65_536 })
      }),
  },
  STORAGE_VOL_GET_PATH: {
    run: (lab) => withVolume(lab, async (volume) => assert.equal(await lab.qemu.volumePath(volume), volume.key)),
  },
  STORAGE_VOL_RESIZE: {
    run: (lab) =>
      withVolume(lab, async (volume) => {
        await lab.qemu.resizeVolume(volume, 131_072)
        assert.equal((await lab.qemu.volumeInfo(volume)).capacity, 131_072)
      }),
  },
  STORAGE_VOL_UPLOAD: {
    run: (lab) =>
      withVolume(lab, async (volume) => {
        const upload = await lab.qemu.uploadVolume(volume, { length: 65_536 })
        await new Promise<void>((resolve, reject) => {
          upload.on('finish', resolve).on('error', reject).end(Buffer.alloc(65_536, 'v'))
        })
        assert.deepEqual(await readFile(volume.key), Buffer.alloc(65_536, 'v'))
      }),
  },
  STORAGE_VOL_DOWNLOAD: {
    run: (lab) =>
      withVolume(lab, async (volume) => {
        const bytes = await buffer(await lab.qemu.downloadVolume(volume, { offset: 4096 }))
        assert.equal(bytes.length, 65_536 - 4096)
      }),
  },
  CONNECT_LIST_ALL_NODE_DEVICES: {
    run: async ({ test }) => assert.ok((await test.listAllNodeDevices()).some((device) => device.name === 'computer')),
  },
  NODE_DEVICE_LOOKUP_BY_NAME: {
    run: async ({ test }) => assert.deepEqual(await test.lookupNodeDevice('computer'), { name: 'computer' }),
  },
  NODE_DEVICE_GET_XML_DESC: {
    run: async ({ test }) => assert.match(await test.nodeDeviceXml({ name: 'computer' }), /<device>/),
  },
  NODE_DEVICE_GET_PARENT: {
    run: async ({ test }) => assert.equal(await test.nodeDeviceParent({ name: 'computer' }), null),
  },
  NODE_DEVICE_DETACH_FLAGS: {
    run: ({ qemu }) => qemu.detachNodeDevice({ name: 'pci_ffff_ff_1f_7' }),
    mayBeRefusedWith: ['VIR_ERR_NO_NODE_DEVICE', 'VIR_ERR_ARGUMENT_UNSUPPORTED'],
  },
  NODE_DEVICE_RE_ATTACH: {
    run: ({ qemu }) => qemu.reattachNodeDevice({ name: 'pci_ffff_ff_1f_7' }),
    refusedWith: 'VIR_ERR_NO_NODE_DEVICE',
  },
  DOMAIN_OPEN_CONSOLE: { run: async ({ qemu, vm }) => (await qemu.openConsole(vm, { force: true })).destroy() },
  DOMAIN_OPEN_CHANNEL: {
    run: ({ qemu, vm }) => qemu.openChannel(vm, { name: 'org.example.none' }),
    refusedWith: 'VIR_ERR_INTERNAL_ERROR',
  },
  DOMAIN_SCREENSHOT: {
    run: async ({ qemu, vm }) => {
      const { mime, stream } = await qemu.screenshot(vm)
      assert.match(mime, /^image\//)
      assert.ok((await buffer(stream)).length > 1000)
    },
  },
  DOMAIN_SEND_KEY: { run: ({ qemu, vm }) => qemu.sendKeys(vm, [1]) },
  DOMAIN_INJECT_NMI: { run: ({ qemu, vm }) => qemu.injectNmi(vm) },
  DOMAIN_GET_TIME: { run: ({ qemu, vm }) => qemu.guestTime(vm), refusedWith: 'VIR_ERR_AGENT_UNRESPONSIVE' },
  DOMAIN_SET_TIME: { run: ({ qemu, vm }) => qemu.setGuestTime(vm, 1.5e12), refusedWith: 'VIR_ERR_AGENT_UNRESPONSIVE' },
  DOMAIN_GET_GUEST_INFO: {
    run: ({ qemu, vm }) => qemu.guestInfo(vm, { os: true }),
    refusedWith: 'VIR_ERR_AGENT_UNRESPONSIVE',
  },
  DOMAIN_FSFREEZE: {
    run: ({ qemu, vm }) => qemu.freezeFilesystems(vm, ['/']),
    refusedWith: 'VIR_ERR_AGENT_UNRESPONSIVE',
  },
  DOMAIN_FSTHAW: { run: ({ qemu, vm }) => qemu.thawFilesystems(vm), refusedWith: 'VIR_ERR_AGENT_UNRESPONSIVE' },
  QEMU_DOMAIN_MONITOR_COMMAND: {
    run: async ({ qemu, vm }) => {
      const answer: unknown = JSON.parse(await qemu.qemuMonitorCommand(vm, '{"execute":"query-rx-filter"}'))
      assert.match(JSON.stringify(answer), /"main-mac":"52:54:00:12:34:56"/)
    },
  },
  QEMU_DOMAIN_AGENT_COMMAND: {
    run: ({ qemu, vm }) => qemu.qemuAgentCommand(vm, '{"execute":"guest-ping"}', { agentTimeout: 1 }),
    refusedWith: 'VIR_ERR_AGENT_UNRESPONSIVE',
  },
  CONNECT_DOMAIN_EVENT_CALLBACK_REGISTER_ANY: {
    run: async ({ qemu, vm }) => {
      const events = await qemu.domainEvents({ kinds: ['lifecycle'], domain: vm })
      await qemu.suspendDomain(vm)
      await qemu.resumeDomain(vm)
      const { value } = await events.next()
      assert.deepEqual([value?.event, value?.detail], ['suspended', 'paused'])
      await events.return()
    },
  },
  CONNECT_DOMAIN_EVENT_CALLBACK_DEREGISTER_ANY: {
    run: async ({ qemu, vm }) => (await qemu.domainEvents({ kinds: ['reboot'], domain: vm })).return(),
  },
  CONNECT_NETWORK_EVENT_REGISTER_ANY: {
    run: async (lab) => {
      const events = await lab.test.networkEvents()
      await withNetwork(lab, async (network) => {
        assert.deepEqual((await events.next()).value, { network, event: 'defined' })
      })
      await events.return()
    },
  },
  CONNECT_NETWORK_EVENT_DEREGISTER_ANY: { run: async ({ test }) => (await test.networkEvents()).return() },
  QEMU_CONNECT_DOMAIN_MONITOR_EVENT_REGISTER: {
    run: async ({ qemu, vm }) => {
      const events = await qemu.qemuMonitorEvents({ domain: vm, event: 'STOP' })
      await qemu.suspendDomain(vm)
      await qemu.resumeDomain(vm)
      assert.equal((await events.next()).value?.event, 'STOP')
      await events.return()
    },
  },
  QEMU_CONNECT_DOMAIN_MONITOR_EVENT_DEREGISTER: {
    run: async ({ qemu, vm }) => (await qemu.qemuMonitorEvents({ domain: vm })).return(),
  },
}

/** Connects through a tap that notes which procedures were called. */
async function connectTapped(uri: string, called: Set<string>): Promise<Connection> {
  const socket = connectSocket('/var/run/libvirt/libvirt-sock')
  const noteCalls = frameReader((frame) => {
    const { program, procedure, type } = readHeader(frame)
    if (type === messageType.call) called.add(`${program}:${procedure}`)
  })
  const write = socket.write.bind(socket)
  socket.write = ((data: Buffer, ...rest: never[]) => {
    noteCalls(data)
    return write(data, ...rest)
  }) as typeof socket.write
  return connectOver(socket, uri)
}

describe('procedures', () => {
  it('have the numbers that this host’s libvirt has', async function () {
    const list = await readFile(tapset, 'utf8').catch(() => undefined)
    if (list === undefined) return this.skip()
    const names = new Map<string, string>()
    for (const block of list.split(/(?=program == \d+ && version)/)) {
      const program = /^program == (\d+)/.exec(block)?.[1]
      for (const [, number, name = ''] of block.matchAll(/proc == (\d+)\) \{\s*procstr = "(\w+)"/g)) {
        names.set(`${program}:${number}`, name)
      }
    }
    assert.ok(names.size > 400)
    for (const { name, program, number } of Object.values(procedures)) {
      assert.equal(names.get(`${program}:${number}`), name.replace(/^QEMU_/, '').toLowerCase(), `${name} is ${number}`)
    }
  })
})

describe('every procedure on a real daemon', function () {
  this.timeout(30_000)
  const called = new Set<string>()
  let lab: Lab | undefined

  before(async () => {
    const directory = await mkdtemp(join(tmpdir(), 'libvirt-pool-'))
    const test = await connectTapped('test:///default', called)
    const qemu = await connectTapped('qemu:///system', called)
    const defined = await testDomain(qemu)
    lab = {
      test,
      qemu,
      testVm: await test.lookupDomainByName('test'),
      vm: await qemu.createDomain(defined.domain),
      lab: defined,
      directory,
    }
  })
  after(async () => {
    if (!lab) return
    await lab.lab.remove()
    await Promise.all([lab.test.close(), lab.qemu.close()])
    await rm(lab.directory, { recursive: true, force: true })
  })

  const isRefused = (codes: readonly ErrorCode[]) => (error: unknown) => {
    assert.ok(error instanceof LibvirtError, String(error))
    assert.ok(codes.includes(error.code), `${error.code}: ${error.message}`)
    assert.notEqual(error.domain, 'VIR_FROM_RPC')
    return true
  }

  for (const [name, { run, refusedWith, mayBeRefusedWith = [] }] of Object.entries(exercises)) {
    it(refusedWith ? `${name} is understood and refused with ${refusedWith}` : name, async () => {
      assert.ok(lab)
      const { program, number } = procedures[name as ProcedureName]
      if (refusedWith) await assert.rejects(run(lab), isRefused([refusedWith]))
      else {
        await run(lab).catch((error: unknown) => {
          if (mayBeRefusedWith.length === 0) throw error
          isRefused(mayBeRefusedWith)(error)
        })
      }
      // polkit authentication is only asked of clients that are not root.
      if (name !== 'AUTH_POLKIT') assert.ok(called.has(`${program}:${number}`), `${name} was not called`)
    })
  }

  it('was given back as it was found', async () => {
    const connection = await connect('test:///default')
    try {
      assert.deepEqual(
        (await connection.listAllDomains()).map((each) => each.name),
        ['test'],
      )
    } finally {
      await connection.close()
    }
  })
})
