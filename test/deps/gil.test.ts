// Files as compilers leave them: no Python headers are needed to lay out what the reader looks for. What the interpreter
// itself makes of such modules is seen in test/slow/deps.test.ts.
import { expect, test } from 'vitest';
import { gilDeclaration } from '../../build/deps/gil.ts';
import { compile, hasCc } from '../verify/subjects.ts';

const slots = (first: string): string => `
struct slot { int id; void *value; };
extern int exec(void *);
struct slot slots[] = {{2, (void *)exec}, ${first} {0, 0}};
void *PyInit_sample(void) { return slots; }
`;
const flags = ['-shared', '-fPIC', '-nostdlib'];

test.skipIf(!hasCc).each<[string, string, string | undefined]>([
  ['a slot that says so', slots('{4, (void *)1},'), 'declared'],
  ['a slot that says it needs the GIL', slots('{4, (void *)0},'), 'silent'],
  ['no slot', slots(''), 'silent'],
  [
    'the call of single-phase initialisation',
    'extern int PyUnstable_Module_SetGIL(void *, void *);\nvoid *PyInit_x(void) { PyUnstable_Module_SetGIL(0, (void *)1); return 0; }',
    'declared',
  ],
  ['a library that is no module', 'int add(int a, int b) { return a + b; }', undefined],
])('%s', (_, source, expected) => {
  expect(gilDeclaration(compile(source, ...flags))).toBe(expected);
});

test('what is no ELF file', () => {
  expect(gilDeclaration(Buffer.from('PyInit_ but text'))).toBeUndefined();
});
