import assert from 'node:assert/strict'
import fc from 'fast-check'
import { domainFacts, readDomainFacts } from '../../../src/domain/domain-facts.ts'
import { buildDomainXml } from '../../../src/domain/domain-xml.ts'
import { domainChanges } from '../../../src/vm/apply/domain-changes.ts'
import { planApply } from '../../../src/vm/apply/plan-apply.ts'
import { definitions } from '../../domain/arbitraries.ts'
import { definitionFrom, specOf } from '../../domain/specs.ts'

const factsOf = (definition: Parameters<typeof specOf>[0]) => readDomainFacts(buildDomainXml(specOf(definition)))
const router = (more: string, nics = '[{}]') =>
  factsOf(definitionFrom(`os: lab-router\nimage: lab-router\nvcpus: 1\nmemory: 512 MiB\nnics: ${nics}\n${more}`))
const changesOf = (
  ...[wanted, defined, live]: readonly [
    ReturnType<typeof router>,
    ReturnType<typeof router>,
    ReturnType<typeof router>?,
  ]
) => planApply({ wanted, defined, live }).changes.map(({ what, from, to, effect }) => [what, from, to, effect])

describe('what `vmr apply` plans', () => {
  it('is nothing for a VM that is as any definition says', () =>
    fc.assert(
      fc.property(definitions, (definition) => {
        const facts = factsOf(definition)
        const plan = planApply({ wanted: facts, defined: facts, live: facts })
        assert.deepEqual(
          [plan.changes, plan.changesDefinition, plan.switches.size, plan.updates.size],
          [[], false, 0, 0],
        )
      }),
    ))

  it('leads from any definition to any other, and is nothing once it is there', () =>
    fc.assert(
      fc.property(definitions, definitions, (before, after) => {
        const wanted = factsOf(after)
        const { definition } = planApply({ wanted, defined: factsOf(before), live: undefined })
        assert.deepEqual(domainChanges(wanted.element, definition), [])
        assert.equal(planApply({ wanted, defined: domainFacts(definition), live: undefined }).changesDefinition, false)
      }),
    ))

  it('names each change, in the units and the names that a person uses', () => {
    assert.deepEqual(changesOf(router('', '[{ link: down }]'), router('')), [
      ['eth0 link', undefined, '<link state="down"/>', 'at the next start'],
    ])
    const larger = factsOf(definitionFrom('os: lab-router\nimage: lab-router\nvcpus: 2\nmemory: 1 GiB\nnics: [{}]\n'))
    assert.deepEqual(changesOf(larger, router('')), [
      ['memory', '512 MiB', '1024 MiB', 'at the next start'],
      ['vcpu', '1', '2', 'at the next start'],
    ])
    assert.deepEqual(changesOf(router(''), router('title: mine\n')), [
      ['title', '<title>mine</title>', undefined, 'at the next start'],
    ])
  })

  it('is felt at once where a running NIC can have it: another mode interrupts, a link state does not', () => {
    const bridged = router('')
    assert.deepEqual(changesOf(router('', '[{ mode: macvtap-trust }]'), bridged, bridged), [
      ['eth0 mode', 'bridge', 'macvtap-trust', 'now, interrupts'],
    ])
    assert.deepEqual(changesOf(router('', '[{ link: down }]'), bridged, bridged), [
      ['eth0 link', undefined, '<link state="down"/>', 'now'],
    ])
    const both = router('', '[{ mode: macvtap-trust, link: down }]')
    assert.deepEqual(changesOf(both, bridged, bridged), [
      ['eth0 mode', 'bridge', 'macvtap-trust', 'now, interrupts'],
      ['eth0 link', undefined, '<link state="down"/>', 'now'],
    ])
    assert.equal(planApply({ wanted: both, defined: bridged, live: bridged }).updates.size, 1)
    assert.deepEqual(changesOf(bridged, bridged, router('', '[{ mode: macvtap }]')), [
      ['eth0 mode', 'bridge, not as its file says', 'bridge', 'now, interrupts'],
    ])
  })

  it('keeps every device in its place, so that the guest finds it under its name', () => {
    const place = '<address type="pci" domain="0x0000" bus="0x07" slot="0x00" function="0x0"/>'
    const defined = readDomainFacts(
      buildDomainXml(
        specOf(definitionFrom('os: lab-router\nimage: lab-router\nvcpus: 1\nmemory: 512 MiB\nnics: [{}]\n')),
      ).replace('</interface>', `${place}</interface>`),
    )
    const { definition } = planApply({
      wanted: router('title: mine\n', '[{ mode: macvtap }]'),
      defined,
      live: undefined,
    })
    assert.equal(domainFacts(definition).nics[0]?.pciAddress, '0000:07:00.0')
  })
})
