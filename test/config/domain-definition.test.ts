import assert from 'node:assert/strict'
import { mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { type DomainDefinition, domainDefinitionSchema } from '../../src/config/domain-definition.ts'
import { editorSchemas } from '../../src/config/json-schemas.ts'
import { loadDomainDefinition } from '../../src/config/load-domain-definition.ts'
import { parseYaml } from '../../src/config/load-yaml.ts'
import { packageRoot } from '../../src/config/package-root.ts'
import { isVmrError } from '../../src/errors/vmr-error.ts'

const minimal = 'os: lab-router\nimage: lab-router\nmemory: 256 MiB\nnics: [{}]\n'

function parse(text: string): DomainDefinition {
  return parseYaml(text, domainDefinitionSchema, 'r.yaml')
}

function refusal(text: string): string {
  try {
    parse(text)
  } catch (error) {
    assert.ok(isVmrError(error) && error.code === 'CONFIG_INVALID', String(error))
    return error.message
  }
  assert.fail(`accepted: ${text}`)
}

describe('Domain definition', () => {
  it('needs no more than system, image, memory and NICs', () => {
    const definition = parse(minimal)
    assert.equal(definition.memory, 256 * 1024)
    assert.equal(definition.vcpus, 1)
    assert.equal(definition.cpu.mode, 'auto')
    assert.equal(definition.serialLog, true)
    assert.equal(definition.nics.length, 1)
  })

  it('reads sizes in KiB, MiB, GiB and TiB', () => {
    for (const [text, kibibytes] of [
      ['65536 KiB', 65536],
      ['64MiB', 65536],
      ['8 GiB', 8 * 1024 ** 2],
      ['1 TiB', 1024 ** 3],
    ] as const)
      assert.equal(parse(minimal.replace('256 MiB', text)).memory, kibibytes)
  })

  const wrong: readonly (readonly [string, RegExp])[] = [
    ['memory: 8 GB', /memory: must be a size such as 512 MiB/],
    ['memory: 512', /memory: /],
    ['memory: 1 MiB', /memory: must be at least 64 MiB/],
    ['vcpus: 0', /vcpus: /],
    ['vcpus: 1.5', /vcpus: /],
    ['os: windows', /os: /],
    ['machine: "q35 <x>"', /machine: must be q35, pc/],
    ['nics: []', /nics: /],
    ['nics: [{ mac: 53:54:00:00:00:01 }]', /nics\[0\]\.mac: must be a unicast MAC/],
    ['nics: [{ mac: 52-54-00-00-00-01 }]', /nics\[0\]\.mac: must be a MAC address such as/],
    ['nics: [{ mode: "../bridge" }]', /nics\[0\]\.mode: must be the name of a NIC mode/],
    ['nics: [{ uplink: "eth0;reboot" }]', /nics\[0\]\.uplink: /],
    ['nics: [{ target: vnet7 }]', /nics\[0\]\.target: must not start with vnet/],
    ['nics: [{ rxQueueSize: 300 }]', /nics\[0\]\.rxQueueSize: /],
    ['nics: [{ queues: 257 }]', /nics\[0\]\.queues: /],
    ['nics: [{ mtu: 500 }]', /nics\[0\]\.mtu: /],
    ['nics: [{ vlan: 4095 }]', /nics\[0\]\.vlan: /],
    ['nics: [{ speed: 1 }]', /nics\[0\]\.speed: there is no such field/],
    ['title: "a\\u0001b"', /title: must not hold control characters/],
    ['image: Lab', /image: must be the name of an image, such as lab-router, or must be the path of a qcow2 image/],
    ['kernel: { file: k }', /kernel: cannot be given together with an image that vmr builds/],
    ['disks: [{ base: a, file: b }]', /disks\[0\]: needs either base or file/],
    ['disks: [{ base: a, readOnly: true }]', /disks\[0\]\.readOnly: has no meaning with base/],
    ['disks: [{ file: a, bus: sata, readOnly: true }]', /disks\[0\]\.readOnly: is not possible on sata/],
    [
      'machine: pc\nfirmware: { loader: l, nvramTemplate: n, secureBoot: true }',
      /firmware\.secureBoot: needs machine q35/,
    ],
    ['cpu: { mode: custom }', /cpu\.model: is needed with mode custom/],
    ['cpu: { features: { aes: require } }', /cpu\.features: needs a mode other than auto/],
    ['pinning: { vcpus: { 1: "0" } }', /pinning\.vcpus\.1: there is no vCPU 1: vcpus is 1/],
    ['pinning: { vcpus: { 0: "0;1" } }', /pinning\.vcpus\.0: must be a set of CPUs/],
    ['nics: [{ bootOrder: 1 }, { bootOrder: 1 }]', /bootOrder 1 is given to two devices/],
    ['firmware: openbios', /firmware: /],
  ]
  for (const [line, message] of wrong) {
    it(`refuses ${JSON.stringify(line)} and says why`, () => {
      const key = line.slice(0, line.indexOf(':'))
      assert.match(refusal(minimal.replace(new RegExp(`^${key}: .*\n`, 'm'), '') + line), message)
    })
  }

  it('refuses a kernel command line that would break out of its line', () => {
    const text = minimal.replace('image: lab-router', 'kernel: { file: k, cmdline: "a\\nb" }')
    assert.match(refusal(text), /kernel\.cmdline: must not hold control characters/)
  })

  it('refuses a VM that has nothing to boot', () => {
    assert.match(
      refusal(minimal.replace('image: lab-router\n', '')),
      /nothing to boot: give image, kernel, disks or cdrom/,
    )
  })

  describe('loaded by name or path', () => {
    let directory: string
    before(async () => {
      directory = await mkdtemp(join(tmpdir(), 'vmr-definitions-'))
    })
    after(() => rm(directory, { recursive: true, force: true }))

    it('finds those that vmr brings, and the nearer of two with one name', async () => {
      const shipped = join(packageRoot(), 'domains')
      const lab = await loadDomainDefinition('lab-router', [directory, shipped])
      assert.equal(lab.definition.os, 'lab-router')
      assert.equal(lab.definition.nics.length, 2)
      const vyos = await loadDomainDefinition('vyos', [directory, shipped])
      assert.equal(vyos.definition.os, 'vyos')
      assert.equal(vyos.definition.vcpus, 2)

      await mkdir(join(directory, 'near'))
      await writeFile(join(directory, 'near', 'vyos.yaml'), minimal)
      assert.equal((await loadDomainDefinition('vyos', [join(directory, 'near'), shipped])).definition.os, 'lab-router')
    })

    it('makes its files absolute, counted from its own directory', async () => {
      const file = join(directory, 'disk.yaml')
      await writeFile(
        file,
        'os: vyos\nmemory: 1 GiB\nnics: [{}]\ncdrom: /iso/vyos.iso\ndisks: [{ base: images/vyos.qcow2 }]\ncloudInit: { userData: u }\n',
      )
      const { definition, name } = await loadDomainDefinition(file)
      assert.equal(name, 'disk')
      assert.equal(definition.disks[0]?.base, join(directory, 'images/vyos.qcow2'))
      assert.equal(definition.cdrom, '/iso/vyos.iso')
      assert.equal(definition.cloudInit?.userData, join(directory, 'u'))
    })

    it('takes an image that is a file for the base of the first disk', async () => {
      const file = join(directory, 'image.yaml')
      await writeFile(file, 'os: vyos\nmemory: 1 GiB\nnics: [{}]\nimage: vyos.qcow2\ndisks: [{ file: /data.qcow2 }]\n')
      const { definition } = await loadDomainDefinition(file)
      assert.equal(definition.image, undefined)
      assert.deepEqual(
        definition.disks.map(({ base, file: own, format, allowBackingFile }) => [
          base ?? own,
          format,
          allowBackingFile,
        ]),
        [
          [join(directory, 'vyos.qcow2'), 'qcow2', false],
          ['/data.qcow2', 'qcow2', false],
        ],
      )
    })

    it('lists the known ones when a name is wrong', async () => {
      await assert.rejects(loadDomainDefinition('vios', [join(packageRoot(), 'domains')]), (error) => {
        assert.ok(isVmrError(error))
        assert.equal(error.code, 'CONFIG_NOT_FOUND')
        assert.match(error.hint ?? '', /lab-router, vyos/)
        return true
      })
    })
  })

  it('has every field of it in the manual that vyos.yaml is', async () => {
    const manual = await readFile(join(packageRoot(), 'domains', 'vyos.yaml'), 'utf8')
    const fields = new Set<string>()
    const collect = (schema: unknown): void => {
      if (typeof schema !== 'object' || schema === null) return
      for (const [key, value] of Object.entries(schema)) {
        if (key === 'properties') for (const field of Object.keys(value as object)) fields.add(field)
        collect(value)
      }
    }
    collect(JSON.parse(editorSchemas()['domain.schema.json'] ?? ''))
    assert.ok(fields.size > 60, `${fields.size} fields`)
    assert.deepEqual(
      [...fields].filter((field) => !new RegExp(`\\b${field}:`).test(manual)),
      [],
    )
  })

  it('tells editors where the schema is, in every shipped definition', async () => {
    for (const name of ['vyos', 'lab-router']) {
      const [first] = (await readFile(join(packageRoot(), 'domains', `${name}.yaml`), 'utf8')).split('\n')
      assert.equal(first, '# yaml-language-server: $schema=../schemas/domain.schema.json')
    }
  })

  it('has an up-to-date schema for editors (npx tsx scripts/generate-schemas.ts)', async () => {
    for (const [name, text] of Object.entries(editorSchemas())) {
      const committed: unknown = JSON.parse(await readFile(join(packageRoot(), 'schemas', name), 'utf8'))
      assert.deepEqual(committed, JSON.parse(text), `schemas/${name} is out of date`)
    }
  })
})
