import assert from 'node:assert/strict'
import { classifyPrompt } from '../../../src/shell/serial/prompts.ts'

describe('console prompts', () => {
  for (const [tail, kind] of [
    ['vyos login: ', 'login'],
    ['router-1.example.net login: ', 'login'],
    ['login: ', 'login'],
    ['[   12.345678] random: crng init donevyos login: ', 'login'],
    ['Last login: ', undefined],
    ['Password: ', 'password'],
    ['My Password: ', undefined],
    ['New password: ', 'newPassword'],
    ['Current password: ', 'newPassword'],
    ['vyos@vyos:~$ ', 'shell'],
    ['vyos@vyos:/tmp> ', 'shell'],
    ['root@vyos:~# ', 'shell'],
    ['vyos@vyos(vrf:red):~$ ', 'shell'],
    ['vyos@r1.example.net:~$ ', 'shell'],
    ['vyos@vyos# ', 'configure'],
    ['vyos@vyos(ns:blue)# ', 'configure'],
    [':', 'pager'],
    ['(END)', 'pager'],
    ['lines 1-23', 'pager'],
    ['--More--', 'pager'],
    ['Display all 161 possibilities? (y or n)', 'completion'],
    ['> ', 'continuation'],
    ['vyos@vyos:~$ show', undefined],
    ['', undefined],
    [`vyos@vyos:${'a'.repeat(1000)}$ `, undefined],
  ] as const) {
    it(`takes ${JSON.stringify(tail.slice(0, 60))} for ${kind ?? 'no prompt'}`, () =>
      assert.equal(classifyPrompt(tail)?.kind, kind))
  }
})
