//! From a copy of a stack to the names of functions.
//!
//! The tables that describe frames (`.eh_frame`, LSB core specification, section 10.6) lie in memory, as unwinding
//! panics needs them. What they say is followed within the copy only: a wrong table ends the backtrace early.

use std::ffi::{c_int, c_void};
use std::ops::Range;

use gimli::{
    BaseAddresses, CfaRule, EhFrame, EhFrameHdr, EndianSlice, NativeEndian, Pointer, Register, RegisterRule,
    UnwindContext, UnwindSection,
};

use super::capture::{Capture, Registers, STACK_POINTER};

/// Frames beyond this are left out: a recursion without end should not fill the log.
const FRAMES: usize = 64;
/// Where the executor calls the future, or drops what it left: what lies below is the same for all tasks.
const FLOORS: [&str; 2] = ["covet_runtime::task::raw::", "covet_runtime::task::executor::"];

#[cfg(target_arch = "x86_64")]
const RETURN_ADDRESS: u16 = 16;
#[cfg(not(target_arch = "x86_64"))]
const RETURN_ADDRESS: u16 = 30;

/// The functions on the stack, innermost first, down to the poll of the task.
pub(super) fn frames(capture: &Capture) -> Vec<String> {
    let mut names = Vec::new();
    for (depth, address) in addresses(capture).into_iter().enumerate() {
        // A return address is one past its call, and may belong to the next function; `resolve` takes one away.
        let lookup = address + u64::from(depth == 0);
        let mut known = false;
        let mut at_floor = false;
        backtrace::resolve(lookup as *mut c_void, |symbol| {
            known = true;
            let name = symbol.name().map_or_else(|| format!("{address:#x}"), |name| format!("{name:#}"));
            let path = name.trim_start_matches('<');
            at_floor |= FLOORS.iter().any(|floor| path.starts_with(floor));
            names.push(match (symbol.filename(), symbol.lineno()) {
                (Some(file), Some(line)) => format!("{name}\n             at {}:{line}", file.display()),
                _ => name,
            });
        });
        if at_floor {
            names.pop();
            break;
        }
        if !known {
            names.push(format!("{address:#x}"));
        }
    }
    // The program's debug information was read for it, which takes as much memory as a great many connections.
    backtrace::clear_symbol_cache();
    names
}

/// The program counter of every frame.
fn addresses(capture: &Capture) -> Vec<u64> {
    let modules = modules(capture);
    let mut registers = capture.registers;
    let bottom = registers.general[STACK_POINTER];
    let read = |address: u64| -> Option<u64> {
        let offset = usize::try_from(address.checked_sub(bottom)?).ok()?;
        let bytes = capture.stack.get(offset..offset.checked_add(8)?)?;
        Some(u64::from_ne_bytes(bytes.try_into().ok()?))
    };
    let mut addresses = vec![registers.program_counter];
    while addresses.len() < FRAMES {
        // Inside the call for all but the innermost frame; one byte back is enough.
        let lookup = registers.program_counter - u64::from(addresses.len() > 1);
        let Some(module) = modules.iter().find(|module| module.text.contains(&lookup)) else { break };
        let before = registers.general[STACK_POINTER];
        let Some(next) = module.caller(lookup, &registers, &read) else { break };
        // Every caller's frame is further up, but for that of a function without one.
        if next.general[STACK_POINTER] < before || next.program_counter == 0 {
            break;
        }
        registers = next;
        addresses.push(registers.program_counter);
    }
    addresses
}

/// The unwind tables of one loaded object, copied while the loader kept it in place.
struct Module {
    text: Range<u64>,
    header_at: u64,
    header: Vec<u8>,
    tables_at: u64,
    tables: Vec<u8>,
}

type Bytes<'a> = EndianSlice<'a, NativeEndian>;

impl Module {
    /// The registers as they will be when the function at `address` returns to its caller.
    fn caller(
        &self,
        address: u64,
        registers: &Registers,
        read: &impl Fn(u64) -> Option<u64>,
    ) -> Option<Registers> {
        let bases = BaseAddresses::default().set_eh_frame_hdr(self.header_at).set_eh_frame(self.tables_at);
        let header = EhFrameHdr::new(&self.header, NativeEndian).parse(&bases, 8).ok()?;
        let tables: EhFrame<Bytes<'_>> = EhFrame::new(&self.tables, NativeEndian);
        let mut context = UnwindContext::new();
        let row = header
            .table()?
            .unwind_info_for_address(&tables, &bases, &mut context, address, EhFrame::cie_from_offset)
            .ok()?;
        let general = |register: Register| registers.general.get(usize::from(register.0)).copied();
        let CfaRule::RegisterAndOffset { register, offset } = *row.cfa() else { return None };
        let frame = general(register)?.checked_add_signed(offset)?;
        let recover = |rule: RegisterRule<usize>, same: u64| match rule {
            RegisterRule::SameValue => Some(same),
            RegisterRule::Offset(offset) => read(frame.checked_add_signed(offset)?),
            RegisterRule::ValOffset(offset) => frame.checked_add_signed(offset),
            RegisterRule::Register(other) => general(other),
            // Expressions are for signal frames and tables of jumps, and undefined marks the thread's first frame.
            _ => None,
        };
        let mut next = *registers;
        next.general[STACK_POINTER] = frame;
        for (number, value) in next.general.iter_mut().enumerate() {
            if let Some(rule) = u16::try_from(number).ok().and_then(|number| row.register(Register(number))) {
                *value = recover(rule, *value).unwrap_or(0);
            }
        }
        let link = general(Register(RETURN_ADDRESS)).unwrap_or(0);
        next.program_counter = match row.register(Register(RETURN_ADDRESS)) {
            Some(rule) => recover(rule, link)?,
            None => link,
        };
        Some(next)
    }
}

/// The loaded objects that the stack may lead through: those that it, or the program counter, points into.
fn modules(capture: &Capture) -> Vec<Module> {
    let mut words: Vec<u64> = capture
        .stack
        .chunks_exact(8)
        .filter_map(|word| word.try_into().ok().map(u64::from_ne_bytes))
        .collect();
    words.push(capture.registers.program_counter);
    words.extend(capture.registers.general);
    words.sort_unstable();
    let mut search = Search { words, found: Vec::new() };
    // SAFETY: the callback gets back the `search` that outlives the call, and nobody else uses it meanwhile.
    unsafe { libc::dl_iterate_phdr(Some(visit), (&raw mut search).cast()) };
    search.found
}

struct Search {
    words: Vec<u64>,
    found: Vec<Module>,
}

unsafe extern "C" fn visit(info: *mut libc::dl_phdr_info, _size: usize, search: *mut c_void) -> c_int {
    // SAFETY: dl_iterate_phdr(3) passes a description of a loaded object, which stays loaded during this call, and the
    // pointer that `modules` gave it. The program headers say what is mapped; a table that claims to reach further than
    // its segment is cut there.
    unsafe {
        let (info, search) = (&*info, &mut *search.cast::<Search>());
        let headers = std::slice::from_raw_parts(info.dlpi_phdr, usize::from(info.dlpi_phnum));
        let place = |header: &libc::Elf64_Phdr| {
            let start = info.dlpi_addr + header.p_vaddr;
            start..start + header.p_memsz
        };
        let loaded = || headers.iter().filter(|header| header.p_type == libc::PT_LOAD);
        let Some(text) = loaded().filter(|header| header.p_flags & libc::PF_X != 0).map(place).find(|text| {
            let first = search.words.partition_point(|&word| word < text.start);
            search.words.get(first).is_some_and(|&word| word < text.end)
        }) else {
            return 0;
        };
        let Some(header) = headers.iter().find(|header| header.p_type == libc::PT_GNU_EH_FRAME).map(place)
        else {
            return 0;
        };
        let copy = |place: &Range<u64>| {
            std::slice::from_raw_parts(place.start as *const u8, (place.end - place.start) as usize).to_vec()
        };
        let bytes = copy(&header);
        let bases = BaseAddresses::default().set_eh_frame_hdr(header.start);
        let tables_at = match EhFrameHdr::new(&bytes, NativeEndian)
            .parse(&bases, 8)
            .map(|parsed| parsed.eh_frame_ptr())
        {
            Ok(Pointer::Direct(address)) => address,
            _ => return 0,
        };
        let Some(segment) = loaded().map(place).find(|segment| segment.contains(&tables_at)) else {
            return 0;
        };
        let tables = copy(&(tables_at..segment.end));
        search.found.push(Module { text, header_at: header.start, header: bytes, tables_at, tables });
    }
    0
}
