//! Printing kernels.

use super::{float, quoted, symbol};
use crate::kernel::{Cond, Kernel, LoopKind, Operand, Place, Scalar, Stmt, Storage};
use std::fmt::{self, Write};

/// Writes a kernel as text.
pub fn print_kernel(kernel: &Kernel) -> String {
    let mut printer = Printer { text: String::new(), depth: 0 };
    printer.line(format_args!("kernel {} {{", quoted(&kernel.name)));
    printer.depth = 1;
    printer.declarations(kernel);
    printer.block(&kernel.body);
    printer.depth = 0;
    printer.line(format_args!("}}"));
    printer.text
}

impl fmt::Display for Kernel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&print_kernel(self))
    }
}

struct Printer {
    text: String,
    depth: usize,
}

impl Printer {
    fn line(&mut self, line: fmt::Arguments<'_>) {
        let _ = writeln!(self.text, "{:width$}{line}", "", width = self.depth * 2);
    }

    fn declarations(&mut self, kernel: &Kernel) {
        if !kernel.symbols.is_empty() {
            let symbols: Vec<String> = kernel.symbols.iter().map(symbol).collect();
            self.line(format_args!("symbols {}", symbols.join(", ")));
        }
        self.line(format_args!("item {}", symbol(&kernel.item)));
        self.line(format_args!("grid ({})", kernel.grid));
        for buffer in &kernel.buffers {
            let writable = if buffer.writable { " writable" } else { "" };
            let pieces = if buffer.pieces == 1 { String::new() } else { format!(" pieces {}", buffer.pieces) };
            self.line(format_args!("buffer {}: {}{writable}{pieces}", quoted(&buffer.name), buffer.dtype));
        }
        for local in &kernel.locals {
            let storage = storage(local.storage);
            self.line(format_args!("local {}: {}[{}]{storage}", quoted(&local.name), local.dtype, local.len));
        }
        for row in &kernel.rows {
            let (name, buffer) = (quoted(&row.name), row.buffer.0);
            self.line(format_args!("rows {name}: b{buffer}[{}] x {}", row.len, row.extent));
        }
    }

    fn block(&mut self, body: &[Stmt]) {
        body.iter().for_each(|stmt| self.stmt(stmt));
    }

    fn nested(&mut self, body: &[Stmt]) {
        self.depth += 1;
        self.block(body);
        self.depth -= 1;
    }

    fn stmt(&mut self, stmt: &Stmt) {
        match stmt {
            Stmt::For { var, extent, kind, body } => {
                self.line(format_args!("for {} to ({extent}) {} {{", symbol(var), loop_kind(kind)));
                self.nested(body);
                self.line(format_args!("}}"));
            }
            Stmt::Let { id, value } => self.line(format_args!("v{} = {}", id.0, scalar(value))),
            Stmt::LetIndex { symbol: name, value } => self.line(format_args!("index {} = {}", symbol(name), operand(value))),
            Stmt::SetRow { row, at, offset, valid } => {
                self.line(format_args!("row r{}[{at}] = ({offset}) if {}", row.0, cond(valid)));
            }
            Stmt::Prefetch(id, index) => self.line(format_args!("prefetch {}", place(&Place::Buffer(*id, index.clone())))),
            Stmt::Store { place: target, value } => self.line(format_args!("store {}, {}", place(target), operand(value))),
            Stmt::Reduce { op, local, stride } => self.line(format_args!("reduce {} l{} stride {stride}", op.name(), local.0)),
            Stmt::If { cond: test, then, otherwise } => {
                self.line(format_args!("if {} {{", cond(test)));
                self.nested(then);
                if !otherwise.is_empty() {
                    self.line(format_args!("}} else {{"));
                    self.nested(otherwise);
                }
                self.line(format_args!("}}"));
            }
        }
    }
}

fn storage(storage: Storage) -> &'static str {
    match storage {
        Storage::Registers => "",
        Storage::Memory => " memory",
        Storage::Shared => " shared",
    }
}

fn loop_kind(kind: &LoopKind) -> String {
    match kind {
        LoopKind::Serial => "serial".to_string(),
        LoopKind::Unrolled => "unrolled".to_string(),
        LoopKind::Threads => "threads".to_string(),
        LoopKind::Vector { active: None } => "vector".to_string(),
        LoopKind::Vector { active: Some(active) } => format!("vector active ({active})"),
    }
}

fn cond(cond: &Cond) -> String {
    let parts: Vec<String> = cond.0.iter().map(ToString::to_string).collect();
    format!("[{}]", parts.join(", "))
}

fn place(place: &Place) -> String {
    match place {
        Place::Buffer(id, index) => format!("b{}[{index}]", id.0),
        Place::Local(id, index) => format!("l{}[{index}]", id.0),
        Place::Row(id, at, index) => format!("r{}[{at}][{index}]", id.0),
    }
}

fn operand(operand: &Operand) -> String {
    match operand {
        Operand::Value(id) => format!("v{}", id.0),
        Operand::Float(dtype, bits) => format!("{dtype}({})", float(f64::from_bits(*bits))),
        Operand::Int(dtype, value) => format!("{dtype}({value})"),
    }
}

fn scalar(scalar: &Scalar) -> String {
    match scalar {
        Scalar::Load(source) => format!("load {}", place(source)),
        Scalar::LoadIf { place: source, valid, otherwise } => {
            format!("load_if {}, {}, {}", cond(valid), place(source), operand(otherwise))
        }
        Scalar::Index(dim, dtype) => format!("index {dtype} ({dim})"),
        Scalar::Unary(op, x) => format!("{} {}", op.name(), operand(x)),
        Scalar::Binary(op, x, y) => format!("{} {}, {}", op.name(), operand(x), operand(y)),
        Scalar::MulAdd(x, y, z) => format!("mul_add {}, {}, {}", operand(x), operand(y), operand(z)),
        Scalar::Dot4(x, y, z) => format!("dot4 {}, {}, {}", operand(x), operand(y), operand(z)),
        Scalar::Select(test, x, y) => format!("select {}, {}, {}", operand(test), operand(x), operand(y)),
        Scalar::SelectIf(test, x, y) => format!("select_if {}, {}, {}", cond(test), operand(x), operand(y)),
        Scalar::Cast(dtype, x) => format!("cast {dtype} {}", operand(x)),
        Scalar::Bitcast(dtype, x) => format!("bitcast {dtype} {}", operand(x)),
        Scalar::ShiftLeft(x, count) => format!("shl {}, {count}", operand(x)),
        Scalar::ShiftRight(x, count) => format!("shr {}, {count}", operand(x)),
    }
}
