//! What an incident did, as its Impact_Assessment tells.

/// Impact_Assessment. Several values of one field are in document order.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub struct Impact {
    /// Impact_Qualification
    pub qualifications: Vec<String>,
    /// Effects/Effect
    pub effects: Vec<String>,
    /// Direct_Impact_Summary/Asset_Losses
    pub asset_losses: Vec<String>,
    /// Direct_Impact_Summary/Business-Mission_Disruption
    pub disruptions: Vec<String>,
    /// Direct_Impact_Summary/Response_And_Recovery_Costs
    pub recovery_costs: Vec<String>,
    /// Indirect_Impact_Summary/Loss_Of_Competitive_Advantage
    pub competitive_losses: Vec<String>,
    /// Indirect_Impact_Summary/Brand_And_Market_Damage
    pub brand_damages: Vec<String>,
    /// Indirect_Impact_Summary/Increased_Operating_Costs
    pub operating_costs: Vec<String>,
    /// Indirect_Impact_Summary/Legal_And_Regulatory_Costs
    pub legal_costs: Vec<String>,
    /// Total_Loss_Estimation/Initial_Reported_Total_Loss_Estimation
    pub initial_loss: Loss,
    /// Total_Loss_Estimation/Actual_Total_Loss_Estimation
    pub actual_loss: Loss,
}

/// An amount of money, as written.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub struct Loss {
    /// `@amount`
    pub amount: Option<String>,
    /// `@iso_currency_code`
    pub currency: Option<String>,
}
