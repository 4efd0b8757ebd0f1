/* SPDX-License-Identifier: GPL-2.0-only */
/* What only Xen can know of a guest's vCPU and memory; the harness has its own. */
#include "internal.h"

struct tripod_domain *tripod_of(const struct domain *d)
{
    return d->arch.pv.tripod;
}

uint64_t tripod_kernel_sp(const struct vcpu *v)
{
    return v->arch.pv.kernel_sp;
}

/* While user code runs, the kernel's GS base is the inactive one, which toggle_guest_mode() keeps here. */
uint64_t tripod_kernel_gs(const struct vcpu *v)
{
    return v->arch.pv.gs_base_kernel;
}

/* One level down: the frame that a page table entry names, if this domain owns it. */
static bool walk(const struct domain *d, mfn_t table, unsigned int index, mfn_t *next)
{
    const uint64_t *entries = map_domain_page(table);
    uint64_t entry = ACCESS_ONCE(entries[index]);

    unmap_domain_page(entries);
    if ( (entry & (_PAGE_PRESENT | _PAGE_PSE)) != _PAGE_PRESENT )
        return false;
    *next = _mfn((entry & PADDR_MASK) >> PAGE_SHIFT);
    return mfn_valid(*next) && page_get_owner(mfn_to_page(*next)) == d;
}

/*
 * Copies from one page of the guest kernel's address space, by its own page tables. Refused: user addresses, Xen's
 * own slots (which every guest L4 table carries), and frames that are not the guest's. The final frame is held while
 * it is read; a table that another vCPU frees under the walk can at worst make it end in another of the guest's frames.
 */
bool tripod_read_kernel_page(struct vcpu *v, uint64_t va, void *to, uint32_t bytes)
{
    struct domain *d = v->domain;
    mfn_t mfn = pagetable_get_mfn(v->arch.guest_table);
    struct page_info *page;
    const void *from;
    unsigned int level;

    if ( (int64_t)va >= 0 || (va >> 47) != 0x1ffff ||
         (va >= HYPERVISOR_VIRT_START && va < HYPERVISOR_VIRT_END) )
        return false;

    for ( level = 4; level > 1; level-- )
        if ( !walk(d, mfn, (va >> (PAGE_SHIFT + 9 * (level - 1))) & 511, &mfn) )
            return false;

    /* The last level has no PSE: that bit is PAT there. */
    {
        const uint64_t *entries = map_domain_page(mfn);
        uint64_t entry = ACCESS_ONCE(entries[(va >> PAGE_SHIFT) & 511]);

        unmap_domain_page(entries);
        if ( !(entry & _PAGE_PRESENT) )
            return false;
        mfn = _mfn((entry & PADDR_MASK) >> PAGE_SHIFT);
    }
    if ( !mfn_valid(mfn) )
        return false;
    page = mfn_to_page(mfn);
    if ( !get_page(page, d) )
        return false;
    from = map_domain_page(mfn);
    memcpy(to, from + (va & ~PAGE_MASK), bytes);
    unmap_domain_page(from);
    put_page(page);
    return true;
}
