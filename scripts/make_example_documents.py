"""Write the PDF files of the examples: `python scripts/make_example_documents.py [EXAMPLE …]`.

Needs the extra `documents`. The texts are those below, and scripts/example_documents/<example>/<name>.txt; the
results are committed.
"""

from __future__ import annotations

import datetime
import sys
from pathlib import Path

from fpdf import FPDF

TEXTS = Path(__file__).parent / "example_documents"
EXAMPLES = Path(__file__).parent.parent / "examples"

CONTRACTS: dict[str, tuple[str, list[list[tuple[str, str]]]]] = {
    "cloud_subscription": (
        "CLOUD SUBSCRIPTION AGREEMENT",
        [
            [
                (
                    "Parties",
                    "This agreement is made between Northwind Data GmbH, Rosenheimer Strasse 11, Munich (the Supplier) and Belleville Instruments SAS, 14 quai Tilsitt, Lyon (the Customer). It takes effect on 2031-03-01.",
                ),
                (
                    "1. Services",
                    "The Supplier gives the Customer access to its hosted analytics platform for 140 named users, with support on working days from 8:00 to 18:00 Central European Time. The Supplier shall keep the platform available for 99.5 percent of each calendar month, planned maintenance excluded.",
                ),
                (
                    "2. Fees and payment",
                    "The annual subscription fee is 86,400 euros, invoiced yearly in advance. Invoices are payable within 45 days. The Supplier may raise the fee once a year by up to 7 percent, on 30 days' written notice.",
                ),
            ],
            [
                (
                    "3. Term and renewal",
                    "The agreement runs for an initial term of 24 months. It renews automatically for further terms of 24 months unless a party gives notice of non-renewal at least 120 days before the end of the current term.",
                ),
                (
                    "4. Data protection",
                    "The Supplier processes personal data on the instructions of the Customer. Data is stored in data centres in Frankfurt; support staff in Singapore may read it in order to resolve an incident. The Supplier shall notify the Customer of a personal data breach within 72 hours.",
                ),
                (
                    "5. Return of data",
                    "On termination the Supplier shall make an export of the Customer's data available for 20 days, after which the data is deleted.",
                ),
            ],
            [
                (
                    "6. Liability",
                    "The liability of the Supplier for all claims arising in a contract year is limited to the fees paid for the three months before the event. This limit does not apply to wilful misconduct.",
                ),
                ("7. Law and disputes", "German law applies. The courts of Munich have exclusive jurisdiction."),
                (
                    "8. Signatures",
                    "Signed in two originals. For the Supplier: Dr. Hanna Seidl, Managing Director. For the Customer: to be signed.",
                ),
            ],
        ],
    ),
    "office_lease": (
        "COMMERCIAL LEASE",
        [
            [
                (
                    "Parties",
                    "Between SCI Les Platanes, represented by its manager Mrs. Odile Garnier (the Landlord), and Belleville Instruments SAS (the Tenant). The lease starts on 2031-01-15.",
                ),
                (
                    "Article 1. Premises",
                    "The Landlord lets to the Tenant 620 square metres of offices on the second floor of 14 quai Tilsitt, Lyon, with eight parking places in the basement.",
                ),
                (
                    "Article 2. Rent",
                    "The annual rent is 158,100 euros before tax, payable quarterly in advance, within 30 days of the request for payment. The rent follows the index of rents for offices each year, and never decreases.",
                ),
            ],
            [
                (
                    "Article 3. Duration",
                    "The lease is granted for nine years. The Tenant may end it at the close of each period of three years by giving notice of 180 days by registered letter.",
                ),
                (
                    "Article 4. Charges and works",
                    "The Tenant bears the running charges, estimated at 31,000 euros a year, and the repairs other than those of the structure. The Landlord shall replace the heating plant before 2032-10-31.",
                ),
                (
                    "Article 5. Deposit",
                    "The Tenant pays a deposit of one quarter of rent, returned within 60 days of the return of the keys.",
                ),
            ],
            [
                (
                    "Article 6. Use",
                    "The premises are for office use and light assembly. Subletting needs the written consent of the Landlord, which shall not be withheld without a serious reason.",
                ),
                (
                    "Article 7. Insurance",
                    "The Tenant shall insure its goods and its liability as an occupant, and send the certificate to the Landlord each January.",
                ),
                ("Article 8. Jurisdiction", "Any dispute is brought before the courts of Lyon."),
            ],
        ],
    ),
    "freight_services": (
        "FREIGHT SERVICES AGREEMENT",
        [
            [
                (
                    "Parties",
                    "This agreement is between Transalp Cargo S.p.A., Via Valtellina 5, Turin (the Carrier) and Belleville Instruments SAS, Lyon (the Shipper). Effective date: 2031-02-10.",
                ),
                (
                    "1. Services",
                    "The Carrier collects the Shipper's pallets in Lyon on Tuesdays and Fridays and delivers them in Italy and Austria within three working days. The expected volume is 900 pallets a year, for about 212,000 euros a year.",
                ),
                (
                    "2. Rates",
                    "Rates are those of Annex A. A fuel surcharge is recalculated each month from the published diesel price. Rates are revised each January by the consumer price index.",
                ),
            ],
            [
                (
                    "3. Loss and damage",
                    "The liability of the Carrier is that of the convention on the contract for the international carriage of goods by road. The Shipper may declare a higher value against a supplement of 0.4 percent.",
                ),
                (
                    "4. Service credits",
                    "When more than 5 percent of the deliveries of a quarter are late, the Carrier credits 3 percent of the invoices of that quarter.",
                ),
                (
                    "5. Duration",
                    "The agreement is made for an indefinite period. Either party may end it by giving 90 days of notice in writing. It does not renew automatically, since it has no end date.",
                ),
                (
                    "6. Payment and disputes",
                    "Invoices are payable 30 days from invoice. Disputes are brought before the courts of Lyon.",
                ),
            ],
        ],
    ),
    "design_services": (
        "DESIGN SERVICES AGREEMENT",
        [
            [
                (
                    "Parties",
                    "Studio Marlowe Ltd, 3 Calvert Avenue, London (the Designer) designs for Belleville Instruments SAS, Lyon (the Client) the housing and the display of the Client's new bench spectrometer. The work starts on 2031-04-07.",
                ),
                (
                    "1. Deliverables",
                    "Concept drawings by 2031-05-30, a working model by 2031-08-29, and production files by 2031-11-28. The Client has 10 working days to accept each deliverable; silence is acceptance.",
                ),
                (
                    "2. Fees",
                    "The fee is 64,000 euros in three parts of 16,000, 24,000 and 24,000 euros, each payable within 15 days of delivery. Travel is charged at cost.",
                ),
            ],
            [
                (
                    "3. Intellectual property",
                    "The Designer keeps the intellectual property in the designs and grants the Client an exclusive licence for bench instruments, limited to Europe. A worldwide assignment can be bought for 40,000 euros.",
                ),
                (
                    "4. Liability",
                    "The Designer's total liability is limited to the fees received. The Designer gives no warranty that the designs do not infringe the rights of others.",
                ),
                (
                    "5. Ending the work",
                    "Either party may end the agreement on 30 days' notice. Parts already begun are due in full. English law applies; disputes go to the courts of London.",
                ),
            ],
        ],
    ),
}


def begin(title: str) -> FPDF:
    """An empty document that has the same bytes each time it is written."""
    pdf = FPDF(format="A4")
    pdf.set_creation_date(datetime.datetime(2031, 1, 2, tzinfo=datetime.UTC))
    pdf.set_margin(22)
    pdf.set_auto_page_break(False)
    pdf.set_title(title)
    return pdf


def head(pdf: FPDF, title: str) -> None:
    """The title of a document, under a bar."""
    pdf.set_fill_color(30, 60, 90)
    pdf.rect(22, 20, 166, 2, style="F")
    pdf.set_y(28)
    pdf.set_font("Times", "B", 18)
    pdf.cell(0, 12, title, new_x="LMARGIN", new_y="NEXT")
    pdf.ln(4)


def foot(pdf: FPDF, text: str) -> None:
    """The line at the bottom of a page."""
    pdf.set_y(-20)
    pdf.set_font("Times", "I", 9)
    pdf.cell(0, 6, text, align="C")


def clause(pdf: FPDF, heading: str, text: str) -> None:
    """A heading and its paragraph."""
    pdf.set_font("Times", "B", 12)
    pdf.cell(0, 8, heading, new_x="LMARGIN", new_y="NEXT")
    pdf.set_font("Times", "", 11)
    pdf.multi_cell(0, 6, text, align="J", new_x="LMARGIN", new_y="NEXT")
    pdf.ln(3)


def write_contract(file: Path, title: str, pages: list[list[tuple[str, str]]]) -> None:
    """Write one contract, one PDF page per list of clauses."""
    pdf = begin(title.title())
    for number, clauses in enumerate(pages, start=1):
        pdf.add_page()
        if number == 1:
            head(pdf, title)
        for heading, text in clauses:
            clause(pdf, heading, text)
        foot(pdf, f"{title.title()}, page {number} of {len(pages)}")
    pdf.output(str(file))


def write_text(file: Path, text: str) -> None:
    """Write a text as a PDF: `# title`, `## heading`, `| cells |`, `---` for a new page; other lines are paragraphs."""
    title = text.splitlines()[0].removeprefix("# ")
    pages = text.split("\n---\n")
    pdf = begin(title)
    for number, page in enumerate(pages, start=1):
        pdf.add_page()
        for line in page.splitlines():
            write_line(pdf, line)
        if len(pages) > 1:
            foot(pdf, f"{title}, page {number} of {len(pages)}")
    pdf.output(str(file))


def write_line(pdf: FPDF, line: str) -> None:
    """Write one line of a text, as its first characters say."""
    if line.startswith("# "):
        head(pdf, line[2:])
    elif line.startswith("## "):
        pdf.ln(3)
        pdf.set_font("Times", "B", 12)
        pdf.cell(0, 8, line[3:], new_x="LMARGIN", new_y="NEXT")
    elif line.startswith("| "):
        first, *others = (cell.strip() for cell in line.strip("| ").split("|"))
        pdf.set_font("Times", "", 11)
        pdf.cell(82, 7, first, border="B")
        for cell in others:
            pdf.cell(28, 7, cell, border="B", align="R")
        pdf.ln(7)
    else:
        pdf.set_font("Times", "", 11)
        pdf.multi_cell(0, 6, line, new_x="LMARGIN", new_y="NEXT")
        pdf.ln(1)


def main(wanted: list[str]) -> None:
    """Write the documents of the wanted examples; of all when none is named."""
    if not wanted or "contract_review" in wanted:
        for name, (title, pages) in CONTRACTS.items():
            write_contract(target("contract_review", name), title, pages)
    for file in sorted(TEXTS.glob("*/*.txt")):
        if not wanted or file.parent.name in wanted:
            write_text(target(file.parent.name, file.stem), file.read_text("utf-8"))


def target(example: str, name: str) -> Path:
    """Where a document goes; says so."""
    file = EXAMPLES / example / "documents" / f"{name}.pdf"
    file.parent.mkdir(parents=True, exist_ok=True)
    print(f"writing {file.relative_to(EXAMPLES.parent)}")
    return file


if __name__ == "__main__":
    main(sys.argv[1:])
