//! A thin layer over naga's arenas: expressions go to a block once, and are known by what they mean.
//!
//! Open blocks are numbered by level: level 0 is the body of the entry point, and each enclosing loop or branch adds one. An expression may go to any level, since the statement that the inner levels will become is not yet part of it.

use crate::fault::{Emit, Fault};
use naga::{
    AddressSpace, Arena, Binding, Block, BuiltIn, Expression, Function, FunctionArgument, GlobalVariable, Handle, Literal,
    LocalVariable, MathFunction, MemoryDecorations, Module, Range, ResourceBinding, Scalar, ScalarKind, Span, Statement, Type,
    TypeInner,
};
use std::collections::HashMap;

/// An expression of the entry point.
pub(crate) type Value = Handle<Expression>;

/// Writes the body of one entry point.
pub(crate) struct Builder {
    pub(crate) module: Module,
    pub(crate) function: Function,
    levels: Vec<Block>,
    literals: HashMap<(ScalarKind, u8, u64), Value>,
    functions: HashMap<String, Handle<naga::Function>>,
}

impl Builder {
    /// A builder whose entry point may call the functions of `module`.
    pub(crate) fn new(module: Module) -> Self {
        let named = |functions: &Arena<Function>| {
            functions.iter().filter_map(|(handle, function)| Some((function.name.clone()?, handle))).collect()
        };
        let functions = named(&module.functions);
        Self { module, function: Function::default(), levels: vec![Block::new()], literals: HashMap::new(), functions }
    }

    /// The module, and the entry point's function with its body.
    pub(crate) fn finish(mut self) -> (Module, Function) {
        self.function.body = self.levels.drain(..).next().unwrap_or_default();
        self.drop_last_barrier();
        self.function.body.push(Statement::Return { value: None }, Span::UNDEFINED);
        (self.module, self.function)
    }

    /// A barrier at the end has no effect.
    fn drop_last_barrier(&mut self) {
        if let Some(Statement::ControlBarrier(_)) = self.function.body.last() {
            self.function.body.cull(self.function.body.len() - 1..);
        }
    }

    /// The innermost open block.
    pub(crate) fn level(&self) -> usize {
        self.levels.len().saturating_sub(1)
    }

    pub(crate) fn open(&mut self) {
        self.levels.push(Block::new());
    }

    pub(crate) fn close(&mut self) -> Block {
        self.levels.pop().unwrap_or_default()
    }

    /// Appends a statement to the innermost block.
    pub(crate) fn push(&mut self, statement: Statement) {
        self.push_at(self.level(), statement);
    }

    fn push_at(&mut self, level: usize, statement: Statement) {
        if let Some(block) = self.levels.get_mut(level) {
            block.push(statement, Span::UNDEFINED);
        }
    }

    /// Something that exists without being evaluated: a literal or a variable.
    pub(crate) fn constant(&mut self, expression: Expression) -> Value {
        self.function.expressions.append(expression, Span::UNDEFINED)
    }

    /// Evaluates an expression at the end of the innermost block.
    pub(crate) fn value(&mut self, expression: Expression) -> Value {
        self.value_at(self.level(), expression)
    }

    /// Evaluates an expression at the end of the block of that level.
    pub(crate) fn value_at(&mut self, level: usize, expression: Expression) -> Value {
        let value = self.constant(expression);
        let Some(block) = self.levels.get_mut(level) else { return value };
        if let Some(Statement::Emit(range)) = block.last_mut()
            && let Some((first, last)) = range.first_and_last()
            && last.index() + 1 == value.index()
        {
            *range = Range::new_from_bounds(first, value);
        } else {
            block.push(Statement::Emit(Range::new_from_bounds(value, value)), Span::UNDEFINED);
        }
        value
    }

    pub(crate) fn literal(&mut self, literal: Literal) -> Value {
        let (kind, bits) = match literal {
            Literal::F64(value) => (ScalarKind::Float, value.to_bits()),
            Literal::F32(value) => (ScalarKind::Float, value.to_bits().into()),
            Literal::U32(value) => (ScalarKind::Uint, value.into()),
            Literal::I32(value) => (ScalarKind::Sint, value as u64),
            Literal::U64(value) => (ScalarKind::Uint, value),
            Literal::I64(value) => (ScalarKind::Sint, value as u64),
            Literal::Bool(value) => (ScalarKind::Bool, value.into()),
            other => return self.constant(Expression::Literal(other)),
        };
        let key = (kind, literal.width(), bits);
        if let Some(known) = self.literals.get(&key) {
            return *known;
        }
        let value = self.constant(Expression::Literal(literal));
        self.literals.insert(key, value);
        value
    }

    pub(crate) fn int(&mut self, value: i32) -> Value {
        self.literal(Literal::I32(value))
    }

    pub(crate) fn uint(&mut self, value: u32) -> Value {
        self.literal(Literal::U32(value))
    }

    pub(crate) fn bool(&mut self, value: bool) -> Value {
        self.literal(Literal::Bool(value))
    }

    pub(crate) fn binary(&mut self, op: naga::BinaryOperator, left: Value, right: Value) -> Value {
        self.value(Expression::Binary { op, left, right })
    }

    pub(crate) fn binary_at(&mut self, level: usize, op: naga::BinaryOperator, left: Value, right: Value) -> Value {
        self.value_at(level, Expression::Binary { op, left, right })
    }

    pub(crate) fn unary(&mut self, op: naga::UnaryOperator, expr: Value) -> Value {
        self.value(Expression::Unary { op, expr })
    }

    pub(crate) fn select(&mut self, condition: Value, accept: Value, reject: Value) -> Value {
        self.value(Expression::Select { condition, accept, reject })
    }

    pub(crate) fn math(&mut self, fun: MathFunction, arguments: &[Value]) -> Value {
        self.math_at(self.level(), fun, arguments)
    }

    /// A built-in function of at least one argument.
    pub(crate) fn math_at(&mut self, level: usize, fun: MathFunction, arguments: &[Value]) -> Value {
        let at = |position: usize| arguments.get(position).copied();
        let arg = at(0).unwrap_or_else(|| self.int(0));
        self.value_at(level, Expression::Math { fun, arg, arg1: at(1), arg2: at(2), arg3: at(3) })
    }

    /// A conversion to a type of that many bytes; without bytes, the same bits as another kind.
    pub(crate) fn convert(&mut self, expr: Value, kind: ScalarKind, bytes: Option<u8>) -> Value {
        self.value(Expression::As { expr, kind, convert: bytes })
    }

    pub(crate) fn load(&mut self, pointer: Value) -> Value {
        self.value(Expression::Load { pointer })
    }

    pub(crate) fn store(&mut self, pointer: Value, value: Value) {
        self.push(Statement::Store { pointer, value });
    }

    /// Calls a function of the prelude.
    pub(crate) fn call(&mut self, name: &str, arguments: &[Value]) -> Emit<Value> {
        self.call_at(self.level(), name, arguments)
    }

    pub(crate) fn call_at(&mut self, level: usize, name: &str, arguments: &[Value]) -> Emit<Value> {
        let Some(function) = self.functions.get(name).copied() else {
            return Err(Fault::Generator(format!("there is no function `{name}`")));
        };
        let result = self.constant(Expression::CallResult(function));
        let arguments = arguments.to_vec();
        self.push_at(level, Statement::Call { function, arguments, result: Some(result) });
        Ok(result)
    }

    /// Runs `then` where the condition holds.
    pub(crate) fn when(&mut self, condition: Value, then: impl FnOnce(&mut Self) -> Emit<()>) -> Emit<()> {
        self.open();
        let result = then(self);
        let accept = self.close();
        self.push(Statement::If { condition, accept, reject: Block::new() });
        result
    }

    pub(crate) fn scalar_type(&mut self, scalar: Scalar) -> Handle<Type> {
        self.add_type(TypeInner::Scalar(scalar))
    }

    pub(crate) fn add_type(&mut self, inner: TypeInner) -> Handle<Type> {
        self.module.types.insert(Type { name: None, inner }, Span::UNDEFINED)
    }

    /// A built-in input of each invocation.
    pub(crate) fn argument(&mut self, built_in: BuiltIn, ty: TypeInner) -> Value {
        let ty = self.add_type(ty);
        let binding = Some(Binding::BuiltIn(built_in));
        let known = self.function.arguments.iter().position(|argument| argument.binding == binding);
        let position = known.unwrap_or_else(|| {
            self.function.arguments.push(FunctionArgument { name: None, ty, binding });
            self.function.arguments.len() - 1
        });
        self.constant(Expression::FunctionArgument(position as u32))
    }

    /// A variable of all invocations, or of those of a workgroup; a binding of group 0 if it is given one.
    pub(crate) fn global(&mut self, space: AddressSpace, binding: Option<u32>, ty: Handle<Type>) -> Value {
        let variable = GlobalVariable {
            name: None,
            space,
            binding: binding.map(|binding| ResourceBinding { group: 0, binding }),
            ty,
            init: None,
            memory_decorations: MemoryDecorations::empty(),
        };
        let variable = self.module.global_variables.append(variable, Span::UNDEFINED);
        self.constant(Expression::GlobalVariable(variable))
    }

    /// A variable of an invocation.
    pub(crate) fn variable(&mut self, ty: Handle<Type>) -> Value {
        let variable = self.function.local_variables.append(LocalVariable { name: None, ty, init: None }, Span::UNDEFINED);
        self.constant(Expression::LocalVariable(variable))
    }
}
