import assert from 'node:assert/strict'
import { publishedJsonSchema, publishedSchemaNames } from '../../src/cli/output/outputs.ts'
import { buildProgram } from '../../src/cli/program.ts'

interface Command {
  readonly commands: readonly Command[]
  readonly options: readonly { readonly long?: string | null | undefined }[]
  name(): string
}

/** The words of every command that has --json. */
function withJson(command: Command, words: readonly string[] = []): readonly string[] {
  return command.commands.flatMap((each) => {
    const own = [...words, each.name()]
    const has = each.options.some(({ long }) => long === '--json')
    return [...(has ? [own.join(' ')] : []), ...withJson(each, own)]
  })
}

describe('the schemas that vmr publishes', () => {
  it('cover every command that has --json', () => {
    const unpublished = withJson(buildProgram() as unknown as Command).filter(
      (name) => !publishedSchemaNames.includes(name),
    )
    assert.deepEqual(unpublished, [])
  })

  it('are JSON schemas that say of every field what it is', () => {
    for (const name of publishedSchemaNames) {
      const text = JSON.stringify(publishedJsonSchema(name))
      assert.match(text, /"\$schema":"https:\/\/json-schema.org\/draft\/2020-12\/schema"/, name)
      assert.match(text, /"type"|"anyOf"/, name)
    }
    assert.match(JSON.stringify(publishedJsonSchema('cell')), /shareOfWireLimit/)
    assert.match(JSON.stringify(publishedJsonSchema('results')), /"manifest":.*"cells":.*shareOfWireLimit/)
  })

  it('are no properties of every object', () => {
    assert.equal(publishedJsonSchema('constructor'), undefined)
  })
})
