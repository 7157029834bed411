import assert from 'node:assert/strict'
import { readdir, readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import fc from 'fast-check'
import { readDomainFacts } from '../../src/domain/domain-facts.ts'
import { buildDomainXml, domainElement, interfaceElements, loadDomainSkeleton } from '../../src/domain/domain-xml.ts'
import { descend, firstChild } from '../../src/domain/xml/element.ts'
import { definitions } from './arbitraries.ts'
import { definitionFrom, goldenSpecs, skeleton, specOf, xml } from './specs.ts'

const goldenDirectory = fileURLToPath(new URL('golden', import.meta.url))
const small = 'os: lab-router\nimage: lab-router\nmemory: 256 MiB\nnics: [{}]\n'

describe('Domain XML', () => {
  for (const [name, spec] of Object.entries(goldenSpecs)) {
    it(`of ${name} is the recorded one (UPDATE_GOLDEN=1 records it)`, async () => {
      const file = join(goldenDirectory, `${name}.xml`)
      const built = buildDomainXml(spec)
      if (process.env.UPDATE_GOLDEN === '1') await writeFile(file, built)
      assert.equal(built, await readFile(file, 'utf8'))
    })
  }

  it('has no recorded file that nothing checks', async () => {
    assert.deepEqual(
      (await readdir(goldenDirectory)).sort(),
      Object.keys(goldenSpecs)
        .map((name) => `${name}.xml`)
        .sort(),
    )
  })

  it('says what the definition says, for any valid definition', () => {
    fc.assert(
      fc.property(definitions, (definition) => {
        const spec = specOf(definition)
        const text = buildDomainXml(spec)
        assert.deepEqual(xml(text), domainElement(spec))
        const facts = readDomainFacts(text)
        assert.equal(facts.name, spec.name)
        assert.equal(facts.uuid, spec.uuid)
        assert.equal(facts.accelerator, 'tcg')
        assert.equal(facts.machine, definition.machine)
        assert.equal(facts.vcpus, definition.vcpus)
        assert.equal(facts.memoryKiB, definition.memory)
        assert.equal(facts.firmware, definition.firmware === 'bios' ? 'bios' : 'uefi')
        assert.equal(facts.kernel, definition.kernel?.file.trim())
        assert.equal(facts.cmdline ?? '', (definition.kernel?.cmdline ?? '').trim())
        assert.equal(facts.serial?.log, spec.serialLog)
        assert.deepEqual(
          facts.nics.map(({ mac, source, model, link }) => ({ mac, source, model, link })),
          spec.nics.map(({ mac, source, options }) => ({
            mac: mac.toLowerCase(),
            source,
            model: options?.model ?? 'virtio',
            link: options?.link ?? 'up',
          })),
        )
        assert.deepEqual(
          facts.disks.filter(({ device }) => device === 'disk').map(({ file }) => file),
          spec.disks?.map(({ file }) => file),
        )
        assert.deepEqual(
          facts.vmr?.nics.map(({ mode }) => mode),
          spec.nics.map(({ mode }) => mode.name),
        )
      }),
      { numRuns: 60 },
    )
  })

  it('is the same text for the same spec', () => {
    assert.equal(buildDomainXml(specOf(definitionFrom(small))), buildDomainXml(specOf(definitionFrom(small))))
  })

  it('refuses a name that leaves its directory or breaks out of XML', () => {
    for (const name of ['../r1', 'r1</name><x>', 'a/b', ''])
      assert.throws(() => buildDomainXml({ ...specOf(definitionFrom(small)), name }), { code: 'NAME_INVALID' })
  })

  it('has the host CPU under KVM, and QEMU’s default under TCG', () => {
    const cpu = (accelerator: 'kvm' | 'tcg') =>
      firstChild(domainElement(specOf(definitionFrom(small), { accelerator })), 'cpu')?.attributes.mode
    assert.equal(cpu('kvm'), 'host-passthrough')
    assert.equal(cpu('tcg'), undefined)
    assert.throws(() => buildDomainXml(specOf(definitionFrom(`${small}cpu: { mode: host-model }`))), {
      code: 'CONFIG_INVALID',
      message: /host-model needs KVM/,
    })
  })

  it('boots the disk, and the installer when the disk cannot', () => {
    const spec = specOf(
      definitionFrom(
        'os: vyos\nmemory: 1 GiB\nnics: [{}]\ndisks: [{ base: /b }]\ncdrom: /c\ncloudInit: { userData: /u }\n',
      ),
    )
    const orders = xml(buildDomainXml(spec)).children.flatMap((node) =>
      node.kind === 'element' && node.name === 'devices'
        ? node.children.flatMap((device) =>
            device.kind === 'element' && device.name === 'disk' ? [firstChild(device, 'boot')?.attributes.order] : [],
          )
        : [],
    )
    assert.deepEqual(orders, ['1', '2', undefined])
  })

  it('appends the console to the serial log, for the port and the console that stands for it', () => {
    const domain = domainElement(specOf(definitionFrom(small)))
    for (const device of ['serial', 'console'])
      assert.deepEqual(descend(domain, 'devices', device, 'log')?.attributes, {
        file: '/var/lib/vmr/vms/r1/serial.log',
        append: 'on',
      })
  })

  it('takes options over what the mode’s file says', () => {
    const [nic] = interfaceElements(
      domainElement(specOf(definitionFrom(small.replace('{}', '{ model: e1000e, mtu: 9000 }')))),
    )
    assert.equal(nic && firstChild(nic, 'model')?.attributes.type, 'e1000e')
    assert.equal(nic && firstChild(nic, 'mtu')?.attributes.size, '9000')
  })

  const impossible: readonly (readonly [string, RegExp])[] = [
    ['{ mode: bridge, vlan: 5 }', /vlan cannot be used with NIC mode bridge: libvirt cannot apply it there/],
    ['{ mode: macvtap, vlan: 5 }', /vlan cannot be used with NIC mode macvtap/],
    ['{ mode: macvtap, mtu: 1400 }', /mtu cannot be used with NIC mode macvtap/],
    ['{ mode: user, queues: 2 }', /queues cannot be used with NIC mode user: there is no tap/],
    ['{ mode: bridge, model: e1000e, queues: 2 }', /queues cannot be used .*: the model is e1000e/],
    ['{ mode: bridge, txQueueSize: 1024 }', /txQueueSize cannot be used .*: QEMU sends through 256 entries/],
    ['{ mode: user, target: tap9 }', /target cannot be used with NIC mode user/],
    ['{ mode: user, source: br0 }', /NIC mode user is attached to nothing/],
  ]
  for (const [nic, message] of impossible) {
    it(`refuses NIC ${nic}, which libvirt would refuse or ignore`, () => {
      assert.throws(() => buildDomainXml(specOf(definitionFrom(small.replace('{}', nic)))), {
        code: 'CONFIG_INVALID',
        message,
      })
    })
  }

  it('says that a source is missing', () => {
    const spec = specOf(definitionFrom(small))
    const nics = spec.nics.map((nic) => ({ ...nic, source: undefined }))
    assert.throws(() => buildDomainXml({ ...spec, nics }), { message: /NIC mode bridge needs to know its bridge/ })
  })

  it('refuses a skeleton that is no domain, with file and line', async () => {
    const nicFile = fileURLToPath(new URL('../../templates/nics/bridge.xml', import.meta.url))
    await assert.rejects(loadDomainSkeleton(nicFile), {
      code: 'TEMPLATE_INVALID',
      message: /bridge\.xml:\d+:1: a skeleton is one <domain>/,
    })
    await assert.rejects(loadDomainSkeleton('/nonexistent/domain.xml'), {
      code: 'TEMPLATE_INVALID',
      message: /cannot be read/,
    })
    assert.equal(skeleton.name, 'domain')
  })
})

describe('Raw-XML overlay', () => {
  const merged = (overlay: string) => domainElement(specOf(definitionFrom(`${small}xml: ${JSON.stringify(overlay)}\n`)))

  it('changes what stands once, and adds the rest', () => {
    const domain = merged(
      `<domain xmlns:qemu='http://libvirt.org/schemas/domain/qemu/1.0'><memory unit='MiB'>300</memory>
       <devices><memballoon model='virtio'/><channel type='unix'/></devices>
       <qemu:commandline><qemu:arg value='-s'/></qemu:commandline></domain>`,
    )
    assert.deepEqual(firstChild(domain, 'memory')?.attributes, { unit: 'MiB' })
    assert.equal(descend(domain, 'devices', 'memballoon')?.attributes.model, 'virtio')
    assert.ok(descend(domain, 'devices', 'channel'))
    assert.ok(descend(domain, 'devices', 'serial'))
    assert.equal(descend(domain, 'qemu:commandline', 'qemu:arg')?.attributes.value, '-s')
    assert.equal(domain.attributes['xmlns:qemu'], 'http://libvirt.org/schemas/domain/qemu/1.0')
  })

  it('changes the timer or controller of the same identity, and adds another', () => {
    const domain = merged(
      "<domain><clock><timer name='hpet' present='yes'/><timer name='tsc' present='yes'/></clock><devices><controller type='scsi' index='0' model='virtio-scsi'/></devices></domain>",
    )
    const clock = firstChild(domain, 'clock')
    const timers = clock?.children.map((node) => (node.kind === 'element' ? node.attributes : {})) ?? []
    assert.deepEqual(
      timers.filter(({ name }) => name === 'hpet'),
      [{ name: 'hpet', present: 'yes' }],
    )
    assert.ok(timers.some(({ name }) => name === 'tsc'))
  })

  for (const [overlay, message] of [
    ['<domain><name>x</name></domain>', /test, field xml:1:9: <name> is vmr's own/],
    ['<domain>\n<metadata/></domain>', /test, field xml:2:1: <metadata> is vmr's own/],
    ["<domain type='kvm'/>", /domain type follows from the accelerator/],
    ['<domain><devices>\n <interface/></devices></domain>', /:2:2: NICs are declared under nics/],
    ['<devices/>', /the overlay is one <domain>/],
    ['<domain><os></domain>', /Expected closing tag 'os'/],
  ] as const) {
    it(`refuses ${JSON.stringify(overlay)} and says where`, () => {
      assert.throws(() => merged(overlay), { code: 'CONFIG_INVALID', message })
    })
  }
})
