//! Random programs: values that are written down, and every way that Python has to make other ones of them before they are used.
//!
//! Most values are good ids, so that most programs load: one that holds an old value for sure calls a good file wrong.

/// What every program begins with.
const HEAD: &str = "import contextlib, copy, functools, operator, os, sys
from airflow.sdk import DAG, TaskGroup, dag, task, task_group, chain
from airflow.providers.standard.operators.empty import EmptyOperator
def call(f):
    f()
    return f
def put(box, key, value):
    box[key] = value
def again(f):
    for _ in range(2):
        f()
class Holder:
    pass
";

/// How a function without arguments comes to be called.
const CALLS: &[&str] = &[
    "@\n",
    "list(map(lambda _: @(), [1]))\n",
    "sorted([1], key=lambda _: @() or 1)\n",
    "[@() for _ in [1]]\n",
    "(lambda: @())()\n",
    "again(@)\n",
    "@@ = call(@)\n",
    "type('X', (), {'m': staticmethod(@)}).m()\n",
    "functools.partial(@)()\n",
    "for f in (@,):\n    f()\n",
    "{'f': @}['f']()\n",
    "class C#:\n    @()\n",
    "class C#:\n    def __init__(self):\n        @()\nC#()\n",
    "def o#():\n    @()\no#()\n",
    "def g#():\n    @()\n    yield 1\nfor _ in g#():\n    pass\n",
    "with contextlib.ExitStack() as s#:\n    s#.callback(@)\n",
    "@call\ndef k#():\n    @()\n",
    "getattr(Holder, 'nothing', None) or @()\n",
    "True and @()\n",
    "print(@(), file=open(os.devnull, 'w'))\n",
    "f'{@()}'\n",
    "not @()\n",
];

/// How the text `N` of the module becomes `V`.
const TEXT: &[&str] = &[
    "N = V\n",
    "N = V\n",
    "globals()['N'] = V\n",
    "globals().update(N=V)\n",
    "g# = globals\ng#()['N'] = V\n",
    "vars()['N'] = V\n",
    "locals()['N'] = V\n",
    "setattr(sys.modules[__name__], 'N', V)\n",
    "sys.modules[__name__].N = V\n",
    "sys.modules[__name__].__dict__['N'] = V\n",
    "call.__globals__['N'] = V\n",
    "exec('N = ' + repr(V))\n",
    "eval('globals().__setitem__(\"N\", ' + repr(V) + ')')\n",
    "for N in [V]:\n    pass\n",
    "for N, _ in [(V, 1)]:\n    break\n",
    "(N := V)\n",
    "[N := q for q in [V]]\n",
    "any((N := q) for q in [V])\n",
    "if (N := V):\n    pass\n",
    "if False:\n    pass\nelif (N := V):\n    pass\n",
    "while (N := V):\n    break\n",
    "assert (N := V)\n",
    "1 < 2 < len(N := V)\n",
    "False or (N := V)\n",
    "True and (N := V)\n",
    "False and (N := 'x y')\nN = V\n",
    "(N := V) if True else (N := 'x y')\n",
    "(N := 'x y') if False else (N := V)\n",
    "with contextlib.nullcontext(V) as N:\n    pass\n",
    "match V:\n    case N:\n        pass\n",
    "match {'k': [V]}:\n    case {'k': [N]}:\n        pass\n",
    "match 1:\n    case 1 if (N := V):\n        pass\n",
    "try:\n    raise ValueError(V)\nexcept ValueError as e#:\n    N = str(e#)\n",
    "try:\n    N = V\n    raise ValueError\nexcept ValueError:\n    pass\n",
    "try:\n    N = V\n    raise ValueError\n    N = 'x y'\nexcept ValueError:\n    pass\n",
    "try:\n    N = V\n    int('x')\n    N = 'x y'\nexcept ValueError:\n    pass\n",
    "try:\n    pass\nexcept ValueError:\n    N = 'x y'\nelse:\n    N = V\n",
    "try:\n    pass\nfinally:\n    N = V\n",
    "with contextlib.suppress(ValueError):\n    N = V\n    int('x')\n    N = 'x y'\n",
    "with contextlib.suppress(ValueError):\n    N = V\n    raise ValueError\n",
    "for _ in [1]:\n    if True:\n        N = V\n        break\n",
    "for _ in [1]:\n    if True:\n        N = V\n        continue\n    N = 'x y'\n",
    "while True:\n    N = V\n    break\n",
    "for _ in []:\n    N = 'x y'\nelse:\n    N = V\n",
    "if os.environ.get('NOTHING'):\n    pass\nelse:\n    N = V\n",
    "if not os.environ.get('NOTHING'):\n    N = V\n",
    "if __name__ != '__main__':\n    N = V\n",
    "N, m# = V, 'm'\n",
    "[N] = [V]\n",
    "*_, N = ['z', V]\n",
    "(a#, (N, b#)) = 1, (V, 2)\n",
    "m# = N = V\n",
    "N: str = V\n",
    "del N\nN = V\n",
    "N = N and V\n",
    "N = '' or V\n",
    "N = V if N else N\n",
    "N = [V, N][0]\n",
    "N = {'k': V}['k']\n",
    "N = (lambda: V)()\n",
    "def r#():\n    return V\nN = r#()\n",
    "def r#(x):\n    if x:\n        return V\n    return 'x y'\nN = r#(1)\n",
    "def r#(*, x='x y'):\n    return x\nN = r#(x=V)\n",
    "def r#(*a, x=V):\n    return x\nN = r#('x y')\n",
    "def r#(x=V, /, **k):\n    return x\nN = r#(x='x y')\n",
    "def r#(x, y=V):\n    x = y\n    return x\nN = r#(N)\n",
    "def r#():\n    try:\n        return 'x y'\n    finally:\n        return V\nN = r#()\n",
    "def r#():\n    n = 'x y'\n    def s():\n        nonlocal n\n        n = V\n    s()\n    return n\nN = r#()\n",
    "def r#():\n    n = 'x y'\n    for n in [V]:\n        pass\n    return n\nN = r#()\n",
    "def r#(n):\n    while True:\n        if n:\n            return V\n    return 'x y'\nN = r#(1)\n",
    "class K#:\n    global N\n    N = V\n",
    "class K#:\n    N = 'x y'\nN = V\n",
    "class K#:\n    @property\n    def v(self):\n        return V\nN = K#().v\n",
    "try:\n    from nothing import N\nexcept ImportError:\n    N = V\n",
    "from os import *\nN = V\n",
];

/// How a function that is called makes `V` of the text `N`.
const TEXT_IN_FUNCTION: &[&str] = &[
    "global N\nN = V\n",
    "global N\nfor N in [V]:\n    pass\n",
    "global N\n[N := q for q in [V]]\n",
    "globals()['N'] = V\n",
    "exec('N = ' + repr(V), globals())\n",
    "setattr(sys.modules[__name__], 'N', V)\n",
    "def inner():\n    global N\n    N = V\ninner()\n",
    "N = 'x y'\n",
];

/// How the list `L`, which begins with what matters, begins with `V`.
const LIST: &[&str] = &[
    "L[0] = V\n",
    "L[-len(L)] = V\n",
    "L[:] = [V, V]\n",
    "L[0:1] = [V]\n",
    "L.insert(0, V)\n",
    "L.clear()\nL.extend([V, V])\n",
    "L.append(V)\nL.reverse()\n",
    "L += [V]\nL.reverse()\n",
    "del L[0]\nL.insert(0, V)\n",
    "L.pop(0)\nL.insert(0, V)\n",
    "B# = L\nB#[0] = V\n",
    "B# = C# = L\nC#.insert(0, V)\n",
    "b# = [L]\nb#[0][0] = V\n",
    "b# = {'l': L}\nb#['l'][0] = V\n",
    "b# = ((L,),)\nb#[0][0][0] = V\n",
    "h# = Holder()\nh#.l = L\nh#.l[0] = V\n",
    "Holder.l = L\nHolder.l[0] = V\n",
    "put(L, 0, V)\n",
    "operator.setitem(L, 0, V)\n",
    "L.__setitem__(0, V)\n",
    "m# = L.insert\nm#(0, V)\n",
    "[L.insert(0, q) for q in [V]]\n",
    "[x.insert(0, V) for x in [L]]\n",
    "for L[0] in [V]:\n    pass\n",
    "for x in [L]:\n    x[0] = V\n",
    "for x in (1, L)[1:]:\n    x[0] = V\n",
    "with contextlib.nullcontext(V) as L[0]:\n    pass\n",
    "with contextlib.nullcontext(L) as x#:\n    x#[0] = V\n",
    "x#, = [L]\nx#[0] = V\n",
    "x#, *y# = [1, L]\ny#[0][0] = V\n",
    "*x#, y# = [L, L]\ny#[0] = V\n",
    "def d#(x=L):\n    x[0] = V\nd#()\n",
    "def d#(*x):\n    x[0][0] = V\nd#(L)\n",
    "def d#(**x):\n    x['l'][0] = V\nd#(l=L)\n",
    "def d#():\n    return L\nd#()[0] = V\n",
    "def d#():\n    yield L\nfor x in d#():\n    x[0] = V\n",
    "y# = L if True else []\ny#[0] = V\n",
    "y# = L or []\ny#[0] = V\n",
    "y# = [] or L\ny#[0] = V\n",
    "y# = list([L])\ny#[0][0] = V\n",
    "y# = [*[L]]\ny#[0][0] = V\n",
    "y# = {**{'l': L}}\ny#['l'][0] = V\n",
    "y# = [1] + [L]\ny#[1][0] = V\n",
    "y# = [L] * 2\ny#[1][0] = V\n",
    "y# = {'l': L}.get('l')\ny#[0] = V\n",
    "y# = next(iter([L]))\ny#[0] = V\n",
    "y# = dict(l=L)\ny#['l'][0] = V\n",
    "if True:\n    y# = L\nelse:\n    y# = []\ny#[0] = V\n",
    "for y# in [L]:\n    pass\ny#[0] = V\n",
    "try:\n    y# = L\nexcept ValueError:\n    y# = []\ny#[0] = V\n",
    "match L:\n    case y#:\n        y#[0] = V\n",
    "(y# := L)[0] = V\n",
    "(y# := L).insert(0, V)\n",
    "L = [V] + L\n",
    "L = L[::-1]\nL.insert(0, V)\n",
    "L = (V, *L)\n",
    "L = sorted(L, key=lambda x: x != L[0])\nL = [V]\n",
    "globals()['L'] = [V]\n",
    "globals()['L'][0] = V\n",
    "class K#:\n    L[0] = V\n",
    "class K#:\n    l = L\nK#.l[0] = V\n",
    "class K#:\n    def m(self, l):\n        l[0] = V\nK#().m(L)\n",
    "e# = copy.copy([L])\ne#[0][0] = V\n",
];

/// The same, in a function that is called.
const LIST_IN_FUNCTION: &[&str] = &[
    "L[0] = V\n",
    "L.insert(0, V)\n",
    "x = L\nx[0] = V\n",
    "put(L, 0, V)\n",
    "global L\nL = [V]\n",
    "def inner():\n    L[0] = V\ninner()\n",
    "for x in [L]:\n    x.insert(0, V)\n",
    "(lambda: L.insert(0, V))()\n",
    "L = ['x y']\n",
];

/// How the dict `D`, in which `id`, `['more']['id']` and `['l'][0]` matter, has `V` there.
const DICT: &[&str] = &[
    "D['id'] = V\nD['more']['id'] = V\nD['l'][0] = V\n",
    "D.update(id=V, more={'id': V}, l=[V])\n",
    "D |= {'id': V, 'more': {'id': V}, 'l': [V]}\n",
    "D = {**D, 'id': V, 'more': {'id': V}, 'l': [V]}\n",
    "D = D | {'id': V, 'more': {'id': V}, 'l': [V]}\n",
    "D = dict(D, id=V, more={'id': V}, l=[V])\n",
    "D.clear()\nD.setdefault('id', V)\nD.setdefault('more', {})['id'] = V\nD.setdefault('l', []).append(V)\n",
    "del D['id']\nD['id'] = V\nm# = D['more']\nm#['id'] = V\nD['l'].insert(0, V)\n",
    "for k# in ['id']:\n    D[k#] = D['more'][k#] = V\nD.get('l')[0] = V\n",
    "D['id'] = V\nfor x in D.values():\n    if isinstance(x, dict):\n        x['id'] = V\n    elif isinstance(x, list):\n        x[0] = V\n",
    "D['id'] = V\n_, x# = D['more'], D['l']\nD['more'].update({'id': V})\nx#[:] = [V]\n",
    "D.pop('id')\nD['id'] = D['more']['id'] = D['l'][0] = V\n",
    "put(D, 'id', V)\nput(D['more'], 'id', V)\nput(D['l'], 0, V)\n",
    "h# = Holder()\nh#.d = D\nh#.d['id'] = h#.d['more']['id'] = h#.d['l'][0] = V\n",
    "D['id'], D['more']['id'], D['l'][0] = V, V, V\n",
    "D['id'] = V\nD['more'] = D['more'] | {'id': V}\nD['l'] += []\nD['l'][0] = V\n",
    "x# = [D]\nfor y in x#:\n    y['id'] = y['more']['id'] = y['l'][0] = V\n",
    "[d.update(id=V, more={'id': V}, l=[V]) for d in (D,)]\n",
    "x# = {'d': D}\nx#['d']['id'] = x#['d']['more']['id'] = x#['d']['l'][0] = V\n",
];

/// A value.
fn value(random: &mut fastrand::Rng) -> String {
    match random.u32(0..10) {
        0 => "'a b'".to_owned(),
        1 => "'c/d'".to_owned(),
        _ => format!("'v{}'", random.u32(0..40)),
    }
}

fn pick<'a>(random: &mut fastrand::Rng, of: &[&'a str]) -> &'a str {
    of[random.usize(..of.len())]
}

fn indented(text: &str) -> String {
    text.lines().map(|line| format!("    {line}\n")).collect()
}

/// A program that is being made.
struct Program<'r> {
    random: &'r mut fastrand::Rng,
    /// For names that are used once.
    number: u32,
}

impl Program<'_> {
    fn fresh(&mut self, template: &str) -> String {
        self.number += 1;
        template.replace('#', &self.number.to_string())
    }

    /// A change of one of the values.
    fn change(&mut self) -> String {
        let new = value(self.random);
        let (name, here, inside): (&str, &[&str], &[&str]) = match self.random.u32(0..7) {
            0 => ("N0", TEXT, TEXT_IN_FUNCTION),
            1..3 => ("N1", TEXT, TEXT_IN_FUNCTION),
            3 => ("L0", LIST, LIST_IN_FUNCTION),
            4 => ("L1", LIST, LIST_IN_FUNCTION),
            _ => (
                "D0",
                DICT,
                &["D['id'] = D['more']['id'] = D['l'][0] = V\n", "D.update(id=V, more={'id': V}, l=[V])\n"],
            ),
        };
        let text = if self.random.u32(0..3) == 0 {
            let body = indented(pick(self.random, inside));
            let called = pick(self.random, CALLS);
            let name = if called == "@\n" { "c#()".to_owned() } else { "c#".to_owned() };
            let decorated = if self.random.u32(0..6) == 0 { "@call\n" } else { "" };
            let called = called
                .replace("@@", "u#")
                .replace("@call", "\u{1}")
                .replace('@', &name)
                .replace('\u{1}', "@call");
            format!("{decorated}def c#():\n{body}{called}")
        } else {
            pick(self.random, here).to_owned()
        };
        let old = &name[..1];
        // The letters of the templates stand alone.
        let mut out = String::new();
        let bytes: Vec<char> = text.chars().collect();
        let alone = |at: usize| {
            let part = |c: Option<&char>| c.is_some_and(|c| c.is_alphanumeric() || *c == '_');
            !part(at.checked_sub(1).and_then(|before| bytes.get(before))) && !part(bytes.get(at + 1))
        };
        for (at, c) in bytes.iter().enumerate() {
            match c {
                'V' if alone(at) => out.push_str(&new),
                c if old.starts_with(*c) && alone(at) && bytes.get(at + 1) != Some(&'#') => {
                    out.push_str(name)
                }
                c => out.push(*c),
            }
        }
        self.fresh(&out)
    }

    /// Statements in something that runs them, or that does not.
    fn wrapped(&mut self, text: String) -> String {
        let body = indented(&text);
        let wrapped = match self.random.u32(0..34) {
            0 => format!("if True:\n{body}"),
            1 => format!("if os.environ.get('NOTHING'):\n{body}"),
            2 => format!("if os.environ.get('NOTHING'):\n    pass\nelse:\n{body}"),
            3 => format!("for _ in [1]:\n{body}"),
            4 => format!("for _ in []:\n{body}"),
            5 => format!("while True:\n{body}    break\n"),
            6 => format!("try:\n{body}except ValueError:\n    pass\n"),
            7 => format!("try:\n    int('x')\nexcept ValueError:\n{body}"),
            8 => format!("try:\n    pass\nfinally:\n{body}"),
            9 => format!("try:\n{body}    raise KeyError\nexcept KeyError:\n    pass\n"),
            10 => format!("with contextlib.suppress(KeyError):\n{body}    raise KeyError\n"),
            11 => format!("with contextlib.suppress(KeyError):\n    raise KeyError\n{body}"),
            12 => format!("with contextlib.nullcontext():\n{body}"),
            13 => format!("match 1:\n    case 1:\n{}", indented(&body)),
            14 => format!("def w#():\n{body}w#()\n"),
            15 => format!("def w#():\n{body}"),
            16 => format!("def w#():\n    if True:\n        return\n{body}w#()\n"),
            17 => format!("@call\ndef w#():\n{body}"),
            18 => format!("for _ in [1, 2]:\n    if _ == 2:\n        continue\n{body}"),
            19 => format!("for _ in [1, 2]:\n    if _ == 1:\n        break\n{body}"),
            20 => format!("if __name__ == '__main__':\n{body}"),
            21 => format!("try:\n    pass\nexcept ValueError:\n{body}else:\n{body}"),
            _ => return text,
        };
        self.fresh(&wrapped)
    }

    /// A value that is used.
    fn used(&mut self) -> String {
        let plain = ["N0", "N1", "N1", "L0[0]", "L1[0]", "D0['id']", "D0['more']['id']", "D0['l'][0]"];
        let one = pick(self.random, &plain).to_owned();
        match self.random.u32(0..6) {
            0 => format!("f\"{{{one}}}_x\""),
            1 => format!("{one} + '_y'"),
            2 => format!("'z_%s' % {one}"),
            _ => one,
        }
    }

    /// A DAG or what is in one.
    fn made(&mut self) -> String {
        let id = self.used();
        let task = self.used();
        let text = match self.random.u32(0..12) {
            0 => format!("with DAG({id}):\n    pass\n"),
            1 => format!("k# = DAG(dag_id={id})\n"),
            2 => format!("with DAG('w#') as k#:\n    EmptyOperator(task_id={task})\n"),
            3 => format!("k# = DAG('w#')\nEmptyOperator(task_id={task}, dag=k#)\n"),
            4 => format!("def m#(i):\n    with DAG(i) as q:\n        EmptyOperator(task_id='t')\n    return q\nk# = m#({id})\n"),
            5 => format!("@dag(dag_id={id})\ndef m#():\n    EmptyOperator(task_id={task})\nm#()\n"),
            6 => format!("with DAG('w#'):\n    with TaskGroup('g'):\n        EmptyOperator(task_id={task})\n    EmptyOperator(task_id='t')\n"),
            7 => format!("with DAG('w#', tags=[{id}]):\n    @task(task_id={task})\n    def f():\n        pass\n    f()\n"),
            8 => format!("def m#(i={id}):\n    return DAG(i)\nk# = m#()\n"),
            9 => format!("with DAG('w#'):\n    a, b = EmptyOperator(task_id='a'), EmptyOperator(task_id='b')\n    ts = [a, b]\n    {}\n    ts[0] >> ts[1]\n    a >> b\n",
                pick(self.random, &["ts.reverse()", "ts.append(a)", "x = ts\n    x[0], x[1] = b, a", "ts[:] = [b, a]", "put(ts, 0, a)", "pass", "ts = ts[::-1]"])
                ).replace("\n    ts[0] >> ts[1]\n    a >> b\n", &format!("\n    {}\n", pick(self.random, &["ts[0] >> ts[1]", "chain(*ts)", "chain([a], ts[1:])", "ts >> EmptyOperator(task_id='e')", "ts[-1] << a if ts[-1] is not a else None"]))),
            10 => format!("with DAG('w#') as k#:\n    a = EmptyOperator(task_id='a')\n    b = EmptyOperator(task_id='b')\n    a >> b >> a\n{}",
                pick(self.random, &["b.downstream_task_ids.clear()\n", "b.downstream_task_ids = set()\n", "b.downstream_task_ids.discard('a')\n",
                    "vars(b)['downstream_task_ids'] = set()\n", "getattr(b, 'downstream_task_ids').clear()\n", "getattr(b, 'downstream_' + 'task_ids').clear()\n",
                    "k#.get_task('b').downstream_task_ids.clear()\n", "setattr(b, 'downstream_task_ids', set())\n", "for t in k#.tasks:\n    t.downstream_task_ids.clear()\n",
                    "def u#(t):\n    t.downstream_task_ids.clear()\nlist(map(u#, [b]))\n", "del k#\nDAG('z#')\n"])),
            _ => format!("with DAG('w#') as k#:\n    EmptyOperator(task_id='a')\n    {}\n    EmptyOperator(task_id='a')\n",
                pick(self.random, &["k#.task_dict.pop('a'); k#.task_group.children.clear(); k#.task_group.used_group_ids.clear()", "k#.task_dict.clear(); k#.task_group.children.clear(); k#.task_group.used_group_ids.clear()",
                    "s = contextlib.ExitStack(); s.enter_context(TaskGroup('g'))", "g = TaskGroup('g'); g.__enter__()", "o = DAG('o#'); o.__enter__()",
                    "from airflow.sdk.definitions._internal.contextmanager import TaskGroupContext; TaskGroupContext.push(TaskGroup('g'))", 
                    "EmptyOperator = lambda task_id: None", "def EmptyOperator(task_id):\n        return None", "class EmptyOperator(EmptyOperator):\n        def __init__(self, task_id, **k):\n            super().__init__(task_id=task_id + 'x', **k)"])).replace("\n    ;", ""),
        };
        self.fresh(&text)
    }
}

/// A program.
pub fn program(random: &mut fastrand::Rng) -> String {
    let mut program = Program { random, number: 0 };
    let mut text = HEAD.to_owned();
    for name in ["N0", "N1"] {
        text += &format!("{name} = {}\n", value(program.random));
    }
    for name in ["L0", "L1"] {
        text += &format!("{name} = [{}, {}]\n", value(program.random), value(program.random));
    }
    let values: Vec<String> = (0..3).map(|_| value(program.random)).collect();
    text += &format!("D0 = {{'id': {}, 'more': {{'id': {}}}, 'l': [{}]}}\n", values[0], values[1], values[2]);
    if program.random.u32(0..8) == 0 {
        text += "if os.environ.get('NOTHING'):\n    sys.exit()\n";
    }
    let count = program.random.usize(1..5);
    for _ in 0..count {
        let change = program.change();
        text += &if program.random.bool() { program.wrapped(change) } else { change };
    }
    let count = program.random.usize(1..3);
    for _ in 0..count {
        let made = program.made();
        text += &if program.random.u32(0..4) == 0 { program.wrapped(made) } else { made };
        if program.random.u32(0..3) == 0 {
            text += &program.change();
        }
    }
    text
}
